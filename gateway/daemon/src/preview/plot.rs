//! A small picture of a point: what was read as a thin line, what would leave as steps with dots.

use std::fmt::Write;

use crate::preview::series::Series;

const WIDTH: f64 = 340.0;
const HEIGHT: f64 = 78.0;
const EDGE: f64 = 4.0;
/// More dots than pixels show nothing.
const DOTS_MAX: usize = 170;

/// SVG, or nothing if there is no number to draw.
pub(crate) fn plot(raw: &Series, left: &Series, seconds: f64) -> String {
    let numbers = raw.samples.iter().chain(&left.samples).map(|(_, number)| *number);
    let (low, high) = numbers.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), n| (low.min(n), high.max(n)));
    if low > high {
        return String::new();
    }
    let scale = Scale { low, high, seconds: seconds.max(0.001) };
    let mut svg = format!(
        "<svg viewBox='0 0 {WIDTH} {HEIGHT}' width={WIDTH} height={HEIGHT} role=img>\
         <rect x=0.5 y=0.5 width={} height={} fill=none stroke=#ccc />",
        WIDTH - 1.0,
        HEIGHT - 1.0
    );
    let line = raw.samples.iter().map(|sample| scale.place(*sample));
    let line: String = line.map(|(x, y)| format!("{x:.1},{y:.1} ")).collect();
    let _ = write!(svg, "<polyline points='{}' fill=none stroke=#888 stroke-width=1 />", line.trim_end());
    steps(&mut svg, &scale, left);
    svg.push_str("</svg>");
    svg
}

/// A value holds until the next one.
fn steps(svg: &mut String, scale: &Scale, left: &Series) {
    let mut path = String::new();
    let mut last = None;
    for sample in &left.samples {
        let (x, y) = scale.place(*sample);
        let _ = match last {
            None => write!(path, "M{x:.1} {y:.1}"),
            Some(_) => write!(path, "H{x:.1}V{y:.1}"),
        };
        last = Some(y);
    }
    if last.is_some() {
        let _ = write!(path, "H{:.1}", WIDTH - EDGE);
    }
    let _ = write!(svg, "<path d='{path}' fill=none stroke=#0b4f9e stroke-width=1.6 />");
    if left.samples.len() <= DOTS_MAX {
        for sample in &left.samples {
            let (x, y) = scale.place(*sample);
            let _ = write!(svg, "<circle cx={x:.1} cy={y:.1} r=2 fill=#0b4f9e />");
        }
    }
}

struct Scale {
    low: f64,
    high: f64,
    seconds: f64,
}

impl Scale {
    fn place(&self, (seconds, number): (f64, f64)) -> (f64, f64) {
        let span = self.high - self.low;
        // Halves first: the difference of two very large numbers is none.
        let share = if span > 0.0 { (number / 2.0 - self.low / 2.0) / (span / 2.0) } else { 0.5 };
        let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.5 };
        let along = (seconds / self.seconds).clamp(0.0, 1.0);
        (EDGE + along * (WIDTH - 2.0 * EDGE), HEIGHT - EDGE - share * (HEIGHT - 2.0 * EDGE))
    }
}

#[cfg(test)]
mod tests {
    use lingate_model::{StatusCode, Value};

    use super::*;

    #[test]
    fn every_sample_lies_inside_of_the_picture() {
        let mut series = Series::default();
        for (at, value) in [f64::MAX, f64::MIN, 0.0, f64::NAN, 5e-324].into_iter().enumerate() {
            series.push(at as f64, Some(&Value::Double(value)), StatusCode::GOOD);
        }
        let svg = plot(&series, &series, 3.0);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert_eq!(svg.matches("<circle").count(), 4);
        assert_eq!(plot(&Series::default(), &Series::default(), 3.0), "");
    }
}
