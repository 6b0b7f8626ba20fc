//! The paths that a Rust source names, `use` trees unfolded. A reader of tokens, not a compiler:
//! macros are read as they stand, and names that a glob brings in are not followed.

mod lex;

use self::lex::Token;

/// Every path with its line: branches of `use` trees, and paths of at least two segments elsewhere.
///
/// `self` and `super` are resolved: `file` tells the module (`x/src/a/b.rs` is `crate::a::b`).
pub(super) fn paths(file: &str, source: &str) -> Vec<(usize, String)> {
    let tokens = lex::tokens(source);
    let mut reader = Reader { tokens: &tokens, at: 0, found: Vec::new() };
    reader.file();
    let module = module(file);
    reader.found.into_iter().map(|(line, path)| (line, resolve(&module, &path))).collect()
}

fn module(file: &str) -> Vec<&str> {
    let inside = file.split_once("/src/").map_or(file, |(_, inside)| inside);
    let inside = inside.strip_suffix(".rs").unwrap_or(inside);
    let root = matches!(inside, "lib" | "main");
    ["crate"].into_iter().chain(inside.split('/').filter(|_| !root)).collect()
}

fn resolve(module: &[&str], path: &str) -> String {
    let mut segments = path.split("::").peekable();
    let mut up = 0;
    while let Some(&head) = segments.peek()
        && (head == "super" || head == "self")
    {
        up += usize::from(head == "super");
        segments.next();
    }
    if path.split("::").next().is_none_or(|head| head != "self" && head != "super") {
        return path.to_owned();
    }
    let base = &module[..module.len().saturating_sub(up).max(1)];
    base.iter().copied().chain(segments).collect::<Vec<_>>().join("::")
}

struct Reader<'a> {
    tokens: &'a [(usize, Token<'a>)],
    at: usize,
    found: Vec<(usize, String)>,
}

impl<'a> Reader<'a> {
    fn peek(&self, ahead: usize) -> Option<&'a Token<'a>> {
        self.tokens.get(self.at + ahead).map(|(_, token)| token)
    }

    fn line(&self) -> usize {
        self.tokens.get(self.at).map_or(0, |(line, _)| *line)
    }

    fn file(&mut self) {
        while let Some(token) = self.peek(0) {
            match token {
                Token::Word("use") => {
                    self.at += 1;
                    self.tree(&mut Vec::new());
                }
                Token::Word("extern") if self.peek(1) == Some(&Token::Word("crate")) => {
                    self.at += 2;
                    self.tree(&mut Vec::new());
                }
                Token::Sign('#') if self.is_cfg_test() => self.skip_item(),
                Token::Word(_) => self.path(),
                _ => self.at += 1,
            }
        }
    }

    /// `a::b::c` in an expression, a type, an attribute.
    fn path(&mut self) {
        let line = self.line();
        let mut segments = Vec::new();
        while let Some(Token::Word(word)) = self.peek(0) {
            segments.push(*word);
            self.at += 1;
            if self.peek(0) != Some(&Token::Colons) {
                break;
            }
            self.at += 1;
        }
        if segments.len() > 1 {
            self.found.push((line, segments.join("::")));
        }
    }

    /// What follows `use`, or one branch of it.
    fn tree(&mut self, prefix: &mut Vec<&'a str>) {
        let (depth, line) = (prefix.len(), self.line());
        let mut whole = true;
        while let Some(token) = self.peek(0) {
            match token {
                Token::Word("as") => self.at += 1,
                Token::Word(word) if whole => {
                    prefix.push(word);
                    whole = false;
                }
                // The new name after `as`.
                Token::Word(_) => {}
                Token::Colons => whole = true,
                Token::Sign('{') => {
                    self.at += 1;
                    self.branches(prefix);
                    prefix.truncate(depth);
                    return;
                }
                Token::Sign('*') => {}
                Token::Sign(_) => break,
            }
            self.at += 1;
        }
        self.found.push((line, prefix.join("::")));
        prefix.truncate(depth);
    }

    fn branches(&mut self, prefix: &mut Vec<&'a str>) {
        while let Some(token) = self.peek(0) {
            match token {
                Token::Sign('}') => {
                    self.at += 1;
                    return;
                }
                Token::Sign(',') => self.at += 1,
                _ => {
                    let before = self.at;
                    self.tree(prefix);
                    // A tree always takes something, unless the source is no Rust.
                    self.at = self.at.max(before + usize::from(self.at == before));
                }
            }
        }
    }

    fn is_cfg_test(&self) -> bool {
        let wanted = [
            Token::Sign('#'),
            Token::Sign('['),
            Token::Word("cfg"),
            Token::Sign('('),
            Token::Word("test"),
            Token::Sign(')'),
        ];
        wanted.iter().enumerate().all(|(ahead, token)| self.peek(ahead) == Some(token))
    }

    /// Up to the `;` or the closing brace of the item that an attribute stands on.
    fn skip_item(&mut self) {
        let mut depth = 0_usize;
        while let Some(token) = self.peek(0) {
            self.at += 1;
            match token {
                Token::Sign('{') => depth += 1,
                Token::Sign('}') => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return;
                    }
                }
                Token::Sign(';') if depth == 0 => return,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
