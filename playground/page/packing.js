// Bytes, made fewer and back (RFC 1951).

export const packed = (bytes) => through(new CompressionStream("deflate-raw"), bytes, Infinity);

/** Throws if there are more than `most`. */
export const unpacked = (bytes, most = Infinity) => through(new DecompressionStream("deflate-raw"), bytes, most);

async function through(transformation, bytes, most) {
  const chunks = [];
  let length = 0;
  const reader = new Blob([bytes]).stream().pipeThrough(transformation).getReader();
  for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
    chunks.push(value);
    length += value.length;
    if (length > most) throw new Error("too long");
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}
