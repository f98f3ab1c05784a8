//! The table at the end: each step, pass or fail, its figures.

/// One line.
struct Row {
    step: String,
    title: String,
    outcome: Result<String, String>,
}

/// All steps so far.
#[derive(Default)]
pub struct Table {
    rows: Vec<Row>,
}

impl Table {
    /// Takes the outcome of a step: its figures, or what went wrong. Says whether it passed.
    pub fn take(&mut self, step: &str, title: &str, outcome: Result<String, String>) -> bool {
        let passed = outcome.is_ok();
        match &outcome {
            Ok(figures) => println!("   step {step} passed: {figures}\n"),
            Err(error) => println!("   step {step} FAILED: {error}\n"),
        }
        self.rows.push(Row { step: step.to_owned(), title: title.to_owned(), outcome });
        passed
    }

    /// Adds a failure that belongs to no step.
    pub fn fail(&mut self, step: &str, error: String) {
        self.rows.push(Row { step: step.to_owned(), title: String::new(), outcome: Err(error) });
    }

    /// Did everything pass?
    pub fn passed(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(|row| row.outcome.is_ok())
    }

    /// Prints the table.
    pub fn print(&self) {
        let width = self.rows.iter().map(|row| row.title.chars().count()).max().unwrap_or(0);
        println!("{:<5} {:<width$}  {:<4}  figures", "step", "what", "");
        for row in &self.rows {
            let (mark, text) = match &row.outcome {
                Ok(figures) => ("pass", figures),
                Err(error) => ("FAIL", error),
            };
            println!("{:<5} {:<width$}  {mark:<4}  {text}", row.step, row.title);
        }
        println!("\n{}", if self.passed() { "every step passed" } else { "NOT every step passed" });
    }
}
