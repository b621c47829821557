//! A table, as Markdown that is also fit to be read as it stands.

/// Rows of cells under a heading; the first column is words, the others figures.
pub(crate) struct Table {
    title: String,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<'a>(title: &str, head: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            title: title.to_owned(),
            rows: vec![head.into_iter().map(str::to_owned).collect()],
        }
    }

    pub(crate) fn add(&mut self, row: Vec<String>) {
        assert_eq!(row.len(), self.rows[0].len(), "a cell for each column");
        self.rows.push(row);
    }

    pub(crate) fn print(&self) {
        let columns = self.rows[0].len();
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        println!("\n### {}\n", self.title);
        for (line, row) in self.rows.iter().enumerate() {
            print!("|");
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                if column == 0 {
                    print!(" {cell:<width$} |");
                } else {
                    print!(" {cell:>width$} |");
                }
            }
            println!();
            if line == 0 {
                print!("|");
                for (column, width) in widths.iter().enumerate() {
                    let colon = if column == 0 { "-" } else { ":" };
                    print!("{}{colon}|", "-".repeat(width + 1));
                }
                println!();
            }
        }
    }
}
