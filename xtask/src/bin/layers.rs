//! `layers`: checks that the files of the core import only from earlier layers, as listed in `ARCHITECTURE.md`, and that no
//! files import each other in cycles, in the core and in the deterministic host.
//!
//! It reads `use` declarations and paths in code, follows re-exports to the file that defines a name, and ignores tests. It
//! does not see what a method call or a trait reaches without a path.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Attribute, Item, UseTree, Visibility};

fn main() -> Result<()> {
    let layers = layers(&fs::read_to_string("ARCHITECTURE.md")?)?;
    let core = Crate::read(Path::new("src"))?;
    let host = Crate::read(Path::new("integration-tests/src"))?;
    let mut offenders = core.unlisted(&layers);
    let upward = core.upward(&layers);
    let imports = core.imports(&[]);
    let circles = circles(&imports);
    let host_imports = host.imports(&["deterministic_host"]);
    let host_circles = self::circles(&host_imports);
    println!(
        "layers: {} files in src, {} imports, {} circles, {} upward imports; {} files in the deterministic host, {} imports, {} circles",
        core.modules.len(),
        imports.len(),
        circles.len(),
        upward.len(),
        files(&host_imports).len(),
        host_imports.len(),
        host_circles.len(),
    );
    offenders.extend(upward.iter().map(|import| format!("{import}, which is in a later layer")));
    for (circle, imports) in circles
        .iter()
        .map(|circle| (circle, &imports))
        .chain(host_circles.iter().map(|circle| (circle, &host_imports)))
    {
        offenders.push(format!("circle of {} files", circle.len()));
        let within = |import: &&Import| circle.contains(&import.from) && circle.contains(&import.to);
        offenders.extend(imports.iter().filter(within).map(|import| format!("  {import}")));
    }
    offenders.iter().for_each(|offender| println!("{offender}"));
    ensure!(offenders.is_empty(), "layers: the order of ARCHITECTURE.md does not hold");
    Ok(())
}

/// Returns the layer of each module of the core: each line of the list names the modules of one layer, before two spaces and a description.
fn layers(page: &str) -> Result<BTreeMap<String, usize>> {
    let (_, list) = page.split_once("```layers\n").context("ARCHITECTURE.md has no block of layers")?;
    let (list, _) = list.split_once("```").context("the block of layers has no end")?;
    let names = |line: &str| -> Vec<String> {
        let names = line.split("  ").next().unwrap_or_default();
        names.split(' ').map(|name| name.trim_end_matches('/').to_owned()).collect()
    };
    Ok(list
        .lines()
        .enumerate()
        .flat_map(|(place, line)| names(line).into_iter().map(move |name| (name, place)))
        .collect())
}

/// The path of a module from the root of its crate.
type ModulePath = Vec<String>;

/// The modules of a crate that are files, except test modules.
struct Crate {
    modules: BTreeMap<ModulePath, Module>,
}

/// What the check has to know about a file.
#[derive(Default)]
struct Module {
    file: PathBuf,
    children: BTreeSet<String>,
    /// The definitions behind the names that the file imports or re-exports.
    names: BTreeMap<String, ModulePath>,
    /// The paths that the file imports or re-exports with `*`.
    globs: Vec<ModulePath>,
    /// Paths from the crate's root, and the lines where they are used.
    paths: Vec<(ModulePath, usize)>,
}

/// The use, in one file, of a definition in another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Import {
    from: ModulePath,
    to: ModulePath,
    file: PathBuf,
    line: usize,
}

impl std::fmt::Display for Import {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}:{} imports from {}", self.file.display(), self.line, self.to.join("::"))
    }
}

impl Crate {
    fn read(folder: &Path) -> Result<Self> {
        let mut modules = BTreeMap::new();
        read_module(folder, &folder.join("lib.rs"), &Vec::new(), &mut modules)?;
        Ok(Self { modules })
    }

    /// Returns the imports among the modules under a path, once for each pair of files.
    fn imports(&self, under: &[&str]) -> Vec<Import> {
        let mut imports = BTreeMap::new();
        for (from, module) in &self.modules {
            for (path, line) in &module.paths {
                let Some(to) = self.definition(path, MAX_STEPS) else { continue };
                let is_under = |path: &ModulePath| {
                    path.len() >= under.len() && path.iter().zip(under).all(|(is, want)| is == want)
                };
                // The root of a crate only names its modules.
                if to != *from && !from.is_empty() && !to.is_empty() && is_under(from) && is_under(&to) {
                    let import =
                        Import { from: from.clone(), to: to.clone(), file: module.file.clone(), line: *line };
                    imports.entry((from.clone(), to)).or_insert(import);
                }
            }
        }
        imports.into_values().collect()
    }

    fn upward(&self, layers: &BTreeMap<String, usize>) -> Vec<Import> {
        let place = |path: &ModulePath| path.first().and_then(|name| layers.get(name));
        let is_upward =
            |import: &Import| place(&import.from).zip(place(&import.to)).is_some_and(|(from, to)| from < to);
        self.imports(&[]).into_iter().filter(is_upward).collect()
    }

    /// Names the modules that are missing from the list or from the core.
    fn unlisted(&self, layers: &BTreeMap<String, usize>) -> Vec<String> {
        let modules: BTreeSet<&String> = self.modules.keys().filter_map(|path| path.first()).collect();
        let listed: BTreeSet<&String> = layers.keys().collect();
        let odd = modules.symmetric_difference(&listed);
        odd.map(|name| format!("src/{name} is only in one of src/ and ARCHITECTURE.md's list")).collect()
    }

    /// Returns the module whose file defines what a path leads to; `None` for a module itself.
    fn definition(&self, path: &[String], steps: usize) -> Option<ModulePath> {
        let mut at = ModulePath::new();
        for (index, name) in path.iter().enumerate() {
            let module = self.modules.get(&at)?;
            if module.children.contains(name) {
                at.push(name.clone());
                continue;
            }
            if steps > 0 {
                let rest = path.get(index.saturating_add(1)..).unwrap_or_default();
                if let Some(target) = module.names.get(name) {
                    return self.definition(&[target, rest].concat(), steps.saturating_sub(1));
                }
                let rest = path.get(index..).unwrap_or_default();
                let found = module.globs.iter().find(|glob| self.defines(glob, name));
                if let Some(glob) = found {
                    return self.definition(&[glob, rest].concat(), steps.saturating_sub(1));
                }
            }
            return Some(at);
        }
        None
    }

    /// Whether a file contains this word, by which names that are re-exported with `*` are found.
    fn defines(&self, module: &ModulePath, name: &str) -> bool {
        let text = self.modules.get(module).and_then(|module| fs::read_to_string(&module.file).ok());
        let is_name = |word: &str| word == name;
        text.is_some_and(|text| text.split(|c: char| !c.is_alphanumeric() && c != '_').any(is_name))
    }
}

fn read_module(
    folder: &Path,
    file: &Path,
    path: &ModulePath,
    modules: &mut BTreeMap<ModulePath, Module>,
) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let syntax = syn::parse_file(&text).with_context(|| file.display().to_string())?;
    let mut module = Module { file: file.to_owned(), ..Module::default() };
    let items: Vec<&Item> = syntax.items.iter().filter(|item| !is_test(item)).collect();
    for item in &items {
        if let Item::Mod(child) = item
            && child.content.is_none()
        {
            let name = child.ident.to_string();
            let child_path = [path.as_slice(), std::slice::from_ref(&name)].concat();
            let child_folder = folder.join(&name);
            let flat = folder.join(format!("{name}.rs"));
            let file = if flat.exists() { flat } else { child_folder.join("mod.rs") };
            read_module(&child_folder, &file, &child_path, modules)?;
            module.children.insert(name);
        }
    }
    for item in &items {
        if let Item::Use(declaration) = item {
            let is_export = !matches!(declaration.vis, Visibility::Inherited);
            module.take_use(&declaration.tree, &Vec::new(), is_export, path);
        }
    }
    for item in &items {
        if !matches!(item, Item::Use(_) | Item::Mod(syn::ItemMod { content: None, .. })) {
            module.take_tokens(item.to_token_stream(), path);
        }
    }
    modules.insert(path.clone(), module);
    Ok(())
}

impl Module {
    fn take_use(&mut self, tree: &UseTree, before: &ModulePath, is_export: bool, here: &ModulePath) {
        let with = |name: &syn::Ident| [before.as_slice(), &[name.to_string()]].concat();
        let (path, name, line) = match tree {
            UseTree::Path(path) => return self.take_use(&path.tree, &with(&path.ident), is_export, here),
            UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.take_use(tree, before, is_export, here));
            }
            UseTree::Glob(_) => {
                self.globs.extend(self.absolute(before, here));
                return;
            }
            UseTree::Name(name) if name.ident == "self" => {
                (before.clone(), before.last().cloned().unwrap_or_default(), name.ident.span().start().line)
            }
            UseTree::Name(name) => {
                (with(&name.ident), name.ident.to_string(), name.ident.span().start().line)
            }
            UseTree::Rename(rename) => {
                (with(&rename.ident), rename.rename.to_string(), rename.ident.span().start().line)
            }
        };
        let Some(path) = self.absolute(&path, here) else { return };
        self.names.insert(name, path.clone());
        if !is_export {
            self.paths.push((path, line));
        }
    }

    /// Collects paths of two and more segments.
    fn take_tokens(&mut self, tokens: TokenStream, here: &ModulePath) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut index = 0;
        while let Some(token) = tokens.get(index) {
            index = index.saturating_add(1);
            match token {
                TokenTree::Group(group) => self.take_tokens(group.stream(), here),
                // `pub(in crate::…)` imports nothing.
                TokenTree::Ident(word) if word == "pub" => {
                    let group = tokens.get(index);
                    let is_scope = matches!(group, Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis);
                    index = index.saturating_add(usize::from(is_scope));
                }
                TokenTree::Ident(first) => {
                    let mut path = vec![first.to_string()];
                    while let Some([TokenTree::Punct(one), TokenTree::Punct(two), TokenTree::Ident(next)]) =
                        tokens.get(index..index.saturating_add(3))
                        && one.as_char() == ':'
                        && two.as_char() == ':'
                    {
                        path.push(next.to_string());
                        index = index.saturating_add(3);
                    }
                    if path.len() > 1
                        && let Some(path) = self.absolute(&path, here)
                    {
                        self.paths.push((path, first.span().start().line));
                    }
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }

    /// Returns the path from the root of the crate; `None` if it leads out of the crate.
    fn absolute(&self, path: &[String], here: &ModulePath) -> Option<ModulePath> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some([here, rest].concat()),
            "super" => {
                let (_, parent) = here.split_last()?;
                match rest.first() {
                    Some(next) if next == "super" => Self::default().absolute(rest, &parent.to_vec()),
                    _ => Some([parent, rest].concat()),
                }
            }
            child if self.children.contains(child) => Some([here, path].concat()),
            name => self.names.get(name).map(|target| [target, rest].concat()),
        }
    }
}

fn is_test(item: &Item) -> bool {
    let attributes: &[Attribute] = match item {
        Item::Const(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    };
    attributes.iter().any(|attribute| {
        let text = attribute.to_token_stream().to_string().replace(' ', "");
        text == "#[cfg(test)]" || text.starts_with("#[cfg(all(test,")
    })
}

fn files(imports: &[Import]) -> BTreeSet<&ModulePath> {
    imports.iter().flat_map(|import| [&import.from, &import.to]).collect()
}

/// Returns the sets of files that import each other, directly or indirectly.
fn circles(imports: &[Import]) -> Vec<BTreeSet<ModulePath>> {
    let reachable = |from: &ModulePath| {
        let mut reached = BTreeSet::new();
        let mut open = vec![from];
        while let Some(at) = open.pop() {
            for import in imports.iter().filter(|import| import.from == *at) {
                if reached.insert(import.to.clone()) {
                    open.push(&import.to);
                }
            }
        }
        reached
    };
    let reached: BTreeMap<&ModulePath, BTreeSet<ModulePath>> =
        files(imports).into_iter().map(|file| (file, reachable(file))).collect();
    let mutual = |file: &ModulePath| -> BTreeSet<ModulePath> {
        let theirs = reached.get(file).into_iter().flatten();
        theirs.filter(|other| reached.get(other).is_some_and(|back| back.contains(file))).cloned().collect()
    };
    let circles: BTreeSet<_> =
        reached.keys().map(|file| mutual(file)).filter(|circle| !circle.is_empty()).collect();
    circles.into_iter().collect()
}

/// The longest chain of re-exports that is followed.
const MAX_STEPS: usize = 8;
