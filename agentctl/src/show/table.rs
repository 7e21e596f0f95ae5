//! Plain tables: columns by two spaces, no lines, header in capitals.

use super::Look;
use comfy_table::{Cell, Color, ColumnConstraint, ContentArrangement, Table, Width};

/// How much a cell's value should strike the eye.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Warning,
    Bad,
    Faint,
}

/// A cell with a tone.
pub(crate) fn cell(text: impl Into<String>, tone: Tone) -> Cell {
    let cell = Cell::new(text.into());
    match tone {
        Tone::Plain => cell,
        Tone::Good => cell.fg(Color::Green),
        Tone::Warning => cell.fg(Color::Yellow),
        Tone::Bad => cell.fg(Color::Red),
        Tone::Faint => cell.fg(Color::DarkGrey),
    }
}

/// A cell without one.
pub(crate) fn plain(text: impl Into<String>) -> Cell {
    cell(text, Tone::Plain)
}

/// Columns that the last one has however narrow the terminal is.
const LEAST: u16 = 16;

/// Renders rows under a header. On a terminal the last column gives way and wraps; elsewhere
/// nothing is wrapped, so that a line stays a row for grep.
pub(crate) fn render(header: &[&str], rows: Vec<Vec<Cell>>, look: Look) -> String {
    lines(arranged(header, rows, look))
}

/// As [`render`], but on a terminal the last column is cut, so that a row is one line there too.
pub(crate) fn render_cut(header: &[&str], rows: Vec<Vec<Cell>>, look: Look) -> String {
    let mut table = arranged(header, rows, look);
    if look.width.is_some() {
        table.row_iter_mut().for_each(|row| {
            row.max_height(1);
        });
    }
    lines(table)
}

fn arranged(header: &[&str], rows: Vec<Vec<Cell>>, look: Look) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(header.to_vec()).add_rows(rows);
    table.force_no_tty();
    if look.colour {
        table.enforce_styling();
    }
    match look.width {
        Some(width) => table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width),
        None => table.set_content_arrangement(ContentArrangement::Disabled),
    };
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let fixed = header.len().saturating_sub(1);
    for index in 0..fixed {
        if let Some(column) = table.column_mut(index) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    if let (Some(_), Some(last)) = (look.width, table.column_mut(fixed)) {
        last.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(LEAST)));
    }
    table
}

fn lines(table: Table) -> String {
    let mut text = String::new();
    for line in table.to_string().lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
