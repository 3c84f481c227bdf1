//! One line for each figure: how it came out, what it is to be, and what others cost.

use super::super::median;

/// What a figure is to be.
pub enum Goal {
    AtMost(f64),
    Below(f64),
    /// As another one, which was this, within so much.
    As(f64, f64),
    /// Only to be read beside others.
    None,
}

/// Prints the lines, and keeps what is missed for the end.
#[derive(Default)]
pub struct Table {
    pub missed: Vec<String>,
}

impl Table {
    /// Prints a figure. Its goal is for the median.
    pub fn line(&mut self, figure: &str, digits: usize, values: &[f64], goal: Goal, peer: &str) {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        let Some(last) = values.last() else {
            println!("  {figure} | n=0 | not measured");
            self.missed.push(format!("{figure}: not measured"));
            return;
        };
        let (n, middle) = (values.len(), median(&values));
        let spread = format!("n={n} {:.digits$}/{middle:.digits$}/{last:.digits$}", values[0]);
        let (is_met, goal) = match goal {
            Goal::AtMost(most) => (middle <= most, format!("at most {most}")),
            Goal::Below(limit) => (middle < limit, format!("under {limit}")),
            Goal::As(other, within) => ((middle - other).abs() <= within, format!("{other:.digits$} as before, within {within:.digits$}")),
            Goal::None => (true, "–".to_owned()),
        };
        println!("  {figure} | {spread} | {goal} | {peer}{}", if is_met { "" } else { " | MISSED" });
        if !is_met {
            self.missed.push(format!("{figure}: {middle:.digits$}, goal {goal}"));
        }
    }
}
