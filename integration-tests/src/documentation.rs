//! The project's pages, as readers who copy from them see them.

use anyhow::Result;
use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};

use crate::paths;

pub struct Page {
    /// The path in the checkout.
    pub path: String,
    pub parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A heading of this level.
    Heading(usize, String),
    /// A code block in this language, which may be empty.
    Block(String, String),
    /// Inline code.
    Code(String),
    /// Other text.
    Text(String),
}

/// Returns the README, the architecture page, and all pages of docs/.
pub fn pages() -> Result<Vec<Page>> {
    let mut paths = vec!["README.md".to_owned(), "ARCHITECTURE.md".to_owned()];
    paths.extend(files("docs", ".md")?);
    paths.iter().map(|path| page(path)).collect()
}

/// Returns the page at this path of the checkout.
pub fn page(path: &str) -> Result<Page> {
    let text = std::fs::read_to_string(paths::root().join(path))?;
    Ok(Page { path: path.to_owned(), parts: parts(&text) })
}

impl Page {
    /// The code blocks, each with its language.
    pub fn blocks(&self) -> impl Iterator<Item = (&str, &str)> {
        blocks(self.parts.iter())
    }

    /// The code blocks in the chapter of this name, a second-level heading.
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

/// Returns the paths of all files below a folder of the checkout whose names end like this.
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
    // The heading or block that is being read.
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
