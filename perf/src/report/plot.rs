//! Line charts as SVG, with a logarithmic scale upwards.

use std::fmt::Write;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 220.0;
const TOP: f64 = 20.0;
const BOTTOM: f64 = 40.0;

/// Told apart with full and with dashed lines.
const COLOURS: [&str; 8] =
    ["#d62728", "#1f77b4", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b", "#e377c2", "#17becf"];

/// A line of a chart: a value for each mark of the axis, where there is one.
pub struct Series {
    pub name: String,
    pub values: Vec<Option<f64>>,
}

/// A chart of the values that are above zero; `None` if there are none.
pub fn chart(unit: &str, marks: &[String], series: &[Series]) -> Option<String> {
    let values = series.iter().flat_map(|line| line.values.iter().flatten());
    let positive: Vec<f64> = values.copied().filter(|value| *value > 0.0).collect();
    let low = positive.iter().copied().min_by(f64::total_cmp)?;
    let high = positive.iter().copied().max_by(f64::total_cmp)?;
    let axis = Axis::new(low, high);
    let mut svg = String::new();
    let _ = write!(
        svg,
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
        escape(unit)
    );
    grid(&mut svg, &axis, unit, marks);
    for (at, line) in series.iter().enumerate() {
        draw(&mut svg, &axis, at, line, marks.len());
    }
    svg.push_str("</svg>");
    Some(svg)
}

/// The scale upwards: whole powers of ten.
struct Axis {
    low: i32,
    high: i32,
}

impl Axis {
    fn new(low: f64, high: f64) -> Self {
        let low = low.log10().floor() as i32;
        Self { low, high: (high.log10().ceil() as i32).max(low + 1) }
    }

    fn y(&self, value: f64) -> f64 {
        let share = (value.log10() - f64::from(self.low)) / f64::from(self.high - self.low);
        HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)
    }
}

fn x(at: usize, marks: usize) -> f64 {
    let steps = marks.saturating_sub(1).max(1) as f64;
    LEFT + at as f64 / steps * (WIDTH - LEFT - RIGHT)
}

fn grid(svg: &mut String, axis: &Axis, unit: &str, marks: &[String]) {
    let right = WIDTH - RIGHT;
    for power in axis.low..=axis.high {
        let (value, y) = (10_f64.powi(power), axis.y(10_f64.powi(power)));
        let _ = write!(
            svg,
            "<path d=\"M{LEFT} {y:.1}H{right}\" class=\"grid\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>",
            LEFT - 6.0,
            y + 4.0
        );
    }
    for (at, mark) in marks.iter().enumerate() {
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            x(at, marks.len()),
            HEIGHT - BOTTOM + 18.0,
            escape(mark)
        );
    }
    let _ = write!(svg, "<text x=\"4\" y=\"{:.1}\">{}</text>", TOP - 6.0, escape(unit));
}

fn draw(svg: &mut String, axis: &Axis, at: usize, line: &Series, marks: usize) {
    let colour = COLOURS[at % COLOURS.len()];
    let dashed = if at / COLOURS.len() % 2 == 1 { " stroke-dasharray=\"6 4\"" } else { "" };
    let points: Vec<(f64, f64, f64)> = line
        .values
        .iter()
        .enumerate()
        .filter_map(|(at, value)| {
            let value = value.filter(|value| *value > 0.0)?;
            Some((x(at, marks), axis.y(value), value))
        })
        .collect();
    let path: Vec<String> = points.iter().map(|(x, y, _)| format!("{x:.1} {y:.1}")).collect();
    let _ =
        write!(svg, "<path d=\"M{}\" fill=\"none\" stroke=\"{colour}\"{dashed}/>", path.join("L"));
    for (x, y, value) in points {
        let _ = write!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"><title>{}: {value:.3}</title></circle>",
            escape(&line.name)
        );
    }
    let (left, y) = (WIDTH - RIGHT + 14.0, TOP + 10.0 + 20.0 * at as f64);
    let _ = write!(
        svg,
        "<path d=\"M{left} {y}h22\" stroke=\"{colour}\"{dashed}/>\
         <text x=\"{}\" y=\"{}\">{}</text>",
        left + 28.0,
        y + 4.0,
        escape(&line.name)
    );
}

/// Text as it may stand in a page.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(values: &[Option<f64>]) -> Series {
        Series { name: String::from("a<b"), values: values.to_vec() }
    }

    #[test]
    fn a_chart_leaves_out_what_is_not_there() {
        let marks = ["1", "2"].map(String::from);
        let svg = chart("ns", &marks, &[line(&[Some(10.0), None])]).expect("one value");
        assert_eq!(svg.matches("<circle").count(), 1);
        assert!(svg.contains("a&lt;b") && !svg.contains("a<b"));
        assert!(chart("ns", &marks, &[line(&[None, Some(0.0)])]).is_none());
    }

    #[test]
    fn the_scale_is_logarithmic() {
        let axis = Axis::new(2.0, 900.0);
        assert_eq!((axis.low, axis.high), (0, 3));
        let step = axis.y(1.0) - axis.y(10.0);
        assert!((axis.y(10.0) - axis.y(100.0) - step).abs() < 1e-9);
        assert!(axis.y(900.0) > TOP && axis.y(2.0) < HEIGHT - BOTTOM);
    }
}
