//! The project's pages, as seen by readers who copy from them.

use anyhow::Result;
use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};

use crate::paths;

pub struct Page {
    /// Where it is in the checkout.
    pub path: String,
    pub parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A heading, of this level.
    Heading(usize, String),
    /// A block of code in this language, which may be empty.
    Block(String, String),
    /// Code within a sentence.
    Code(String),
    /// Text between all these.
    Text(String),
}

/// The README, the description of the architecture, and all pages of docs/.
pub fn pages() -> Result<Vec<Page>> {
    let mut paths = vec!["README.md".to_owned(), "ARCHITECTURE.md".to_owned()];
    paths.extend(files("docs", ".md")?);
    paths.iter().map(|path| page(path)).collect()
}

/// The page at this path of the checkout.
pub fn page(path: &str) -> Result<Page> {
    let text = std::fs::read_to_string(paths::root().join(path))?;
    Ok(Page { path: path.to_owned(), parts: parts(&text) })
}

impl Page {
    /// The blocks of code, each with its language.
    pub fn blocks(&self) -> impl Iterator<Item = (&str, &str)> {
        blocks(self.parts.iter())
    }

    /// The blocks of code in the chapter of this name, a heading of the second level.
    pub fn blocks_of(&self, chapter: &str) -> impl Iterator<Item = (&str, &str)> {
        let heading = Part::Heading(2, chapter.to_owned());
        let chapter = self.parts.iter().skip_while(move |part| **part != heading).skip(1);
        blocks(chapter.take_while(|part| !matches!(part, Part::Heading(2, _))))
    }
}

fn blocks<'p>(parts: impl Iterator<Item = &'p Part>) -> impl Iterator<Item = (&'p str, &'p str)> {
    parts.filter_map(|part| match part {
        Part::Block(language, text) => Some((language.as_str(), text.as_str())),
        _ => None,
    })
}

/// The paths of all files in a folder of the checkout, in whichever depth, whose names end so.
pub fn files(folder: &str, ending: &str) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(paths::root().join(folder))? {
        let entry = entry?;
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            files.extend(self::files(&path, ending)?);
        } else if path.ends_with(ending) {
            files.push(path);
        }
    }
    Ok(files)
}

fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    // What is being read: a heading or a block, so far without its text.
    let mut open: Option<Part> = None;
    for event in Parser::new(text) {
        match (event, &mut open) {
            (Event::Start(Tag::Heading { level, .. }), _) => {
                open = Some(Part::Heading(level as usize, String::new()));
            }
            (Event::Start(Tag::CodeBlock(kind)), _) => {
                let language = match kind {
                    CodeBlockKind::Fenced(language) => language.to_string(),
                    CodeBlockKind::Indented => String::new(),
                };
                open = Some(Part::Block(language, String::new()));
            }
            (Event::End(TagEnd::Heading(_) | TagEnd::CodeBlock), _) => parts.extend(open.take()),
            (
                Event::Text(text) | Event::Code(text),
                Some(Part::Heading(_, whole) | Part::Block(_, whole)),
            ) => {
                whole.push_str(&text);
            }
            (Event::Code(code), _) => parts.push(Part::Code(code.to_string())),
            (Event::Text(text), _) => parts.push(Part::Text(text.to_string())),
            _ => {}
        }
    }
    parts
}
