//! A page of Markdown as a script: the files that it shows and the commands that it runs.
//!
//! - A block whose language is followed by a name (` ```toml edge.toml `) is that file.
//! - In a block `console`, a line behind `$ ` or `# ` is a command; one that ends in `\` goes on in the
//!   next line. What follows is what it prints: these lines in this order, others may come between.
//!   `…` stands for any text in a line. `^C` interrupts the command.
//! - Blocks of other languages are not run.

/// A fenced block.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block<'t> {
    /// The line of its fence, from 1.
    pub(crate) line: usize,
    pub(crate) language: &'t str,
    /// The file that it is.
    pub(crate) name: Option<&'t str>,
    pub(crate) text: String,
}

/// A command with what it prints.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Command {
    /// Its line in the page, from 1.
    pub(crate) line: usize,
    pub(crate) words: String,
    pub(crate) prints: Vec<String>,
    /// Whether it is ended by `^C`, after the first so many of those lines.
    pub(crate) interrupted_after: Option<usize>,
}

/// The fenced blocks of a page.
pub(crate) fn blocks(page: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut lines = page.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(info) = line.strip_prefix("```") else { continue };
        let mut words = info.split_whitespace();
        let (language, name) = (words.next().unwrap_or_default(), words.next());
        let text = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```");
        let text = text.flat_map(|line| [line, "\n"]).collect();
        blocks.push(Block { line: number + 1, language, name, text });
    }
    blocks
}

impl Block<'_> {
    /// The commands of a block `console`; other blocks have none.
    pub(crate) fn commands(&self) -> Vec<Command> {
        if self.language != "console" {
            return Vec::new();
        }
        let mut commands: Vec<Command> = Vec::new();
        let mut goes_on = false;
        for (line, number) in self.text.lines().zip(self.line + 1..) {
            if goes_on {
                let last = commands.last_mut().expect("it goes on from a line before");
                last.words.push('\n');
                last.words.push_str(line);
            } else if let Some(words) = line.strip_prefix("$ ").or_else(|| line.strip_prefix("# "))
            {
                commands.push(Command {
                    line: number,
                    words: words.to_owned(),
                    prints: Vec::new(),
                    interrupted_after: None,
                });
            } else {
                let last = commands.last_mut();
                let last = last.unwrap_or_else(|| panic!("line {number}: `{line}` of no command"));
                if line == "^C" {
                    last.interrupted_after = Some(last.prints.len());
                } else if !matches!(line.trim(), "" | "…") {
                    last.prints.push(line.trim().to_owned());
                }
            }
            goes_on = commands.last().is_some_and(|last| last.words.ends_with('\\'));
        }
        commands
    }
}

/// Whether a line that was printed is one that a page shows.
pub(crate) fn is_shown(printed: &str, shown: &str) -> bool {
    let printed = printed.trim();
    let mut parts = shown.split('…').map(str::trim);
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = printed.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[test]
fn a_page_is_taken_apart() {
    let page = "text\n```toml edge.toml\na = 1\n```\n\n```console\n$ one \\\n  two\n  out …  \n\n# three\n^C\nlast\n```\n";
    let blocks = blocks(page);
    assert_eq!((blocks[0].name, &*blocks[0].text), (Some("edge.toml"), "a = 1\n"));
    let commands = blocks[1].commands();
    let command = |line, words: &str, prints: &[&str], interrupted_after| Command {
        line,
        words: words.to_owned(),
        prints: prints.iter().copied().map(str::to_owned).collect(),
        interrupted_after,
    };
    assert_eq!(
        commands,
        [command(7, "one \\\n  two", &["out …"], None), command(11, "three", &["last"], Some(0)),]
    );
    assert!(is_shown("  id 17 at /x  ", "id … at /x") && is_shown("a", "a"));
    assert!(!is_shown("id 17", "id … at") && !is_shown("ab", "a") && !is_shown("xa", "a"));
}
