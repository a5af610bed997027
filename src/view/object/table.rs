//! Tables that fit a terminal: a cell that has no room goes on in the next line.

use std::fmt::Write as _;

use crate::view::{Style, printable, wrap};

/// Narrowest a column is made, in characters.
const NARROWEST: usize = 12;
/// Between two columns.
const GAP: usize = 2;
/// In front of each line.
const INDENT: usize = 2;

/// Appends a table with a title; nothing if it has no rows. Columns without a cell are left out.
pub(super) fn table(
    text: &mut String,
    title: &str,
    head: &[&str],
    rows: &[Vec<String>],
    style: Style,
) {
    if rows.is_empty() {
        return;
    }
    let used: Vec<usize> = (0..head.len())
        .filter(|at| rows.iter().any(|row| row.get(*at).is_some_and(|cell| !cell.is_empty())))
        .collect();
    let pick = |row: &[String]| -> Vec<String> {
        used.iter()
            .map(|at| row.get(*at).map_or_else(String::new, |cell| printable(cell).into_owned()))
            .collect()
    };
    let head: Vec<String> = head.iter().map(ToString::to_string).collect();
    let head = pick(&head);
    let rows: Vec<Vec<String>> = rows.iter().map(|row| pick(row)).collect();
    let widths = fitted(natural(&head, &rows), style.width);
    let _ = writeln!(text, "\n{}", style.bold(title));
    for line in lines(&head, &widths) {
        let _ = writeln!(text, "{:INDENT$}{}", "", style.dim(&line));
    }
    for row in rows {
        for line in lines(&row, &widths) {
            let _ = writeln!(text, "{:INDENT$}{line}", "");
        }
    }
}

/// What each column needs.
fn natural(head: &[String], rows: &[Vec<String>]) -> Vec<usize> {
    let mut widths = vec![0; head.len()];
    for row in rows.iter().map(Vec::as_slice).chain([head]) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    widths
}

/// The same made narrower, the widest first, until they fit or are as narrow as they get.
fn fitted(mut widths: Vec<usize>, room: usize) -> Vec<usize> {
    let gaps = INDENT + GAP * widths.len().saturating_sub(1);
    loop {
        let total: usize = gaps + widths.iter().sum::<usize>();
        let Some(excess) = total.checked_sub(room).filter(|excess| *excess > 0) else {
            return widths;
        };
        let mut sorted = widths.clone();
        sorted.sort_unstable();
        let widest = sorted.pop().unwrap_or_default();
        let next = sorted.into_iter().rev().find(|width| *width < widest).unwrap_or_default();
        let floor = NARROWEST.max(next).max(widest.saturating_sub(excess));
        if floor >= widest {
            return widths;
        }
        if let Some(width) = widths.iter_mut().find(|width| **width == widest) {
            *width = floor;
        }
    }
}

/// A row as lines.
fn lines(cells: &[String], widths: &[usize]) -> Vec<String> {
    let wrapped: Vec<Vec<String>> =
        cells.iter().zip(widths).map(|(cell, width)| wrap(cell, *width)).collect();
    let height = wrapped.iter().map(Vec::len).max().unwrap_or_default();
    let line = |at: usize| {
        let padded = wrapped.iter().zip(widths).map(|(cell, width)| {
            let part = cell.get(at).map_or("", String::as_str);
            format!("{part:<width$}{:GAP$}", "")
        });
        padded.collect::<String>().trim_end().to_owned()
    };
    (0..height).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(rows: &[[&str; 3]], width: usize) -> String {
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(ToString::to_string).collect()).collect();
        let mut text = String::new();
        table(&mut text, "maps", &["name", "type", "note"], &rows, Style { width, ..Style::PLAIN });
        text
    }

    #[test]
    fn wide_cells_go_on_below() {
        let rows = [["flows", "struct a_long_name and more", ""], ["x", "y", ""]];
        assert_eq!(
            drawn(&rows, 80),
            "\nmaps\n  name   type\n  flows  struct a_long_name and more\n  x      y\n",
            "a column without cells is left out"
        );
        assert_eq!(
            drawn(&rows, 25),
            "\nmaps\n  name   type\n  flows  struct\n         a_long_name and\n         more\n  x      y\n"
        );
    }

    #[test]
    fn no_line_is_longer_than_the_terminal() {
        let long = "ünbroken_".repeat(20);
        let text = drawn(&[[&long, &long, &long], ["a", "b", "c"]], 60);
        assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
        let all: usize = text.chars().filter(|c| *c == 'ü').count();
        assert_eq!(all, 60, "nothing is lost");
        assert_eq!(drawn(&[], 60), "");
        assert!(drawn(&[[&long, &long, &long]], 1).contains("ünbroken"), "there is a least width");
    }
}
