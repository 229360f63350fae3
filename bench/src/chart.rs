//! Charts as SVG, by hand: bars side by side, and lines over a growing number.
//!
//! Both axes of numbers are logarithmic, since what is compared differs by orders of magnitude.

use std::fmt::Write;

/// What a bar or a line is called, and its numbers.
pub(crate) struct Series {
    pub(crate) name: String,
    /// One for each group, or for each place on the x axis.
    pub(crate) values: Vec<Option<f64>>,
}

const WIDTH: f64 = 900.0;
const LEFT: f64 = 270.0;
const TOP: f64 = 64.0;
const BAR: f64 = 11.0;
const GAP: f64 = 12.0;

/// Told apart by people who see fewer colours, too.
const COLOURS: &[&str] = &[
    "#4d4d4d", "#d55e00", "#e69f00", "#f0c987", "#0072b2", "#56b4e9", "#009e73", "#cc79a7",
    "#8b6bb1", "#bdbdbd",
];

fn colour(index: usize) -> &'static str {
    COLOURS[index % COLOURS.len()]
}

/// One group of bars for each label, in each a bar for each series. `unit` ends the numbers.
pub(crate) fn bars(title: &str, unit: &str, labels: &[String], series: &[Series]) -> String {
    let there = |group: usize| {
        series
            .iter()
            .filter(move |s| s.values[group].is_some())
            .count()
    };
    let rows: usize = (0..labels.len()).map(there).sum();
    let height = TOP + rows as f64 * BAR + labels.len() as f64 * GAP + 24.0;
    let scale = Scale::of(series, LEFT, WIDTH - 70.0);
    let mut svg = begin(title, height, series);
    for tick in scale.ticks() {
        let x = scale.place(tick);
        let _ = write!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{:.1}\" stroke=\"#ddd\"/>\n\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n",
            height - 24.0,
            height - 8.0,
            short(tick, unit)
        );
    }
    let mut y = TOP + GAP / 2.0;
    for (group, label) in labels.iter().enumerate() {
        let middle = y + there(group) as f64 * BAR / 2.0 + 4.0;
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{middle:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 8.0,
            escaped(label)
        );
        for (index, one) in series.iter().enumerate() {
            let Some(value) = one.values[group] else {
                continue;
            };
            let end = scale.place(value);
            let _ = write!(
                svg,
                "<rect x=\"{LEFT}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{}\" fill=\"{}\"/>\n\
                 <text x=\"{:.1}\" y=\"{:.1}\" font-size=\"9\">{}</text>\n",
                (end - LEFT).max(1.0),
                BAR - 1.0,
                colour(index),
                end + 3.0,
                y + BAR - 2.5,
                short(value, unit)
            );
            y += BAR;
        }
        y += GAP;
    }
    svg + "</svg>\n"
}

/// A line for each series over the numbers `xs`.
pub(crate) fn lines(title: &str, unit: &str, xs: &[usize], series: &[Series]) -> String {
    const HEIGHT: f64 = 360.0;
    const SIDE: f64 = 70.0;
    let scale = Scale::of(series, HEIGHT - 34.0, TOP);
    let step = (WIDTH - 2.0 * SIDE) / (xs.len().max(2) - 1) as f64;
    let x = |index: usize| SIDE + index as f64 * step;
    let mut svg = begin(title, HEIGHT, series);
    for tick in scale.ticks() {
        let y = scale.place(tick);
        let _ = write!(
            svg,
            "<line x1=\"{SIDE}\" y1=\"{y:.1}\" x2=\"{}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>\n\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n",
            WIDTH - SIDE,
            SIDE - 6.0,
            y + 4.0,
            short(tick, unit)
        );
    }
    for (index, number) in xs.iter().enumerate() {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{number}</text>",
            x(index),
            HEIGHT - 12.0
        );
    }
    for (which, one) in series.iter().enumerate() {
        let points = one.values.iter().enumerate();
        let points = points.filter_map(|(i, value)| Some((x(i), scale.place((*value)?))));
        let points: Vec<_> = points.map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"/>",
            points.join(" "),
            colour(which)
        );
    }
    svg + "</svg>\n"
}

fn begin(title: &str, height: f64, series: &[Series]) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"20\" font-size=\"15\">{}</text>\n",
        escaped(title)
    );
    let mut x = 10.0;
    for (index, one) in series.iter().enumerate() {
        let _ = write!(
            svg,
            "<rect x=\"{x}\" y=\"32\" width=\"10\" height=\"10\" fill=\"{}\"/>\n\
             <text x=\"{}\" y=\"41\">{}</text>\n",
            colour(index),
            x + 14.0,
            escaped(&one.name)
        );
        x += 26.0 + 7.0 * one.name.chars().count() as f64;
    }
    svg
}

/// From numbers to places, by their logarithms.
struct Scale {
    /// Powers of ten.
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    fn of(series: &[Series], from: f64, to: f64) -> Self {
        let values = || series.iter().flat_map(|one| one.values.iter().flatten());
        let least = values().copied().fold(f64::INFINITY, f64::min).max(1e-12);
        let most = values().copied().fold(least, f64::max);
        let low = least.log10().floor();
        Scale {
            low,
            high: most.log10().ceil().max(low + 1.0),
            from,
            to,
        }
    }

    fn place(&self, value: f64) -> f64 {
        let share = (value.max(1e-12).log10() - self.low) / (self.high - self.low);
        self.from + share * (self.to - self.from)
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        let (low, high) = (self.low as i32, self.high as i32);
        (low..=high).map(|power| 10f64.powi(power))
    }
}

fn short(value: f64, unit: &str) -> String {
    let (value, letter) = match value {
        _ if value >= 1e6 => (value / 1e6, "M"),
        _ if value >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let text = format!("{value:.*}", if value >= 10.0 { 0 } else { 2 });
    let text = match text.split_once('.') {
        Some(_) => text.trim_end_matches('0').trim_end_matches('.'),
        None => &text,
    };
    format!("{text}{letter}{unit}")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(values: &[Option<f64>]) -> Vec<Series> {
        vec![Series {
            name: "a & b".to_owned(),
            values: values.to_vec(),
        }]
    }

    #[test]
    fn every_number_has_a_bar_and_nothing_else_has() {
        let labels = ["x".to_owned(), "<y>".to_owned()];
        let svg = bars("title", "×", &labels, &series(&[Some(1.0), None]));
        // The ground, the key, and one bar.
        assert_eq!(svg.matches("<rect").count(), 3);
        assert!(svg.contains("&lt;y>") && svg.contains("a &amp; b") && svg.contains(">1×<"));
    }

    #[test]
    fn a_line_goes_up_where_the_numbers_do() {
        let svg = lines(
            "title",
            "",
            &[1, 10, 100],
            &series(&[Some(1.0), Some(10.0), Some(100.0)]),
        );
        let points = svg.split_once("points=\"").unwrap().1;
        let ys: Vec<f64> = points[..points.find('"').unwrap()]
            .split(' ')
            .map(|point| point.split_once(',').unwrap().1.parse().unwrap())
            .collect();
        assert!(ys.is_sorted_by(|a, b| a > b) && ys.len() == 3, "{ys:?}");
    }

    #[test]
    fn numbers_are_short() {
        let shown = [0.5, 1.0, 12.34, 56_000.0, 1.25e6].map(|number| short(number, ""));
        assert_eq!(shown, ["0.5", "1", "12", "56k", "1.25M"]);
    }
}
