//! How figures over time become lines: an even grid of times, gaps, scales. Nothing here knows a page.

use crate::proxmox::wire::{Rrd, Sample};
use std::collections::BTreeMap;

/// How many points a chart has at most, with those at both ends: more than that is finer than it is wide.
const MOST_POINTS: usize = 121;
/// How many of the latest samples may be empty because they are not written yet.
const NOT_YET: usize = 2;

/// How far back a chart goes, in seconds.
fn span(range: Rrd) -> i64 {
    match range {
        Rrd::Hour => 3_600,
        Rrd::Day => 86_400,
        Rrd::Week => 7 * 86_400,
        Rrd::Month => 30 * 86_400,
        Rrd::Year => 365 * 86_400,
    }
}

/// Figures at even times. What was not measured is not in a point: a container did not run, or a node did not write.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// The time of the first point, in epoch seconds.
    pub from: i64,
    /// Between two points.
    pub step: i64,
    points: Vec<BTreeMap<String, f64>>,
}

impl Grid {
    /// From samples, the oldest first. Proxmox keeps more of them than a range is long, and since 9 more than a chart shows: then a point
    /// is the mean of some.
    pub fn of(samples: &[Sample], range: Rrd) -> Option<Self> {
        let step = samples.windows(2).map(|pair| pair[1].time - pair[0].time).filter(|step| *step > 0).min()?;
        let not_yet = samples.iter().rev().take(NOT_YET).take_while(|sample| sample.values.is_empty()).count();
        let end = samples.get(samples.len() - 1 - not_yet)?.time;
        // with both ends
        let count = usize::try_from(span(range) / step).ok()?.max(1) + 1;
        let from = end - step * (count as i64 - 1);
        let mut fine: Vec<Option<&Sample>> = vec![None; count];
        for sample in samples {
            let place = (sample.time - from + step / 2).div_euclid(step);
            if let Some(cell) = usize::try_from(place).ok().and_then(|place| fine.get_mut(place)) {
                *cell = Some(sample);
            }
        }
        let many = count.div_ceil(MOST_POINTS);
        let points = fine.chunks(many).map(mean).collect();
        Some(Self { from, step: step * many as i64, points })
    }

    /// How many points there are.
    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// The times of the points, in epoch seconds.
    pub fn times(&self) -> impl Iterator<Item = i64> {
        (0..self.len()).map(|index| self.from + self.step * index as i64)
    }

    /// One of the figures at each time.
    pub fn values(&self, name: &str) -> Vec<Option<f64>> {
        self.points.iter().map(|point| point.get(name).copied()).collect()
    }
}

fn mean(samples: &[Option<&Sample>]) -> BTreeMap<String, f64> {
    let mut sums: BTreeMap<String, (f64, u32)> = BTreeMap::new();
    for (name, value) in samples.iter().flatten().flat_map(|sample| &sample.values) {
        let (sum, count) = sums.entry(name.clone()).or_default();
        *sum += value;
        *count += 1;
    }
    sums.into_iter().map(|(name, (sum, count))| (name, sum / f64::from(count))).collect()
}

/// The latest value of a figure.
pub fn latest(samples: &[Sample], name: &str) -> Option<f64> {
    samples.iter().rev().take(NOT_YET + 1).find_map(|sample| sample.values.get(name).copied())
}

/// Where a point stands, of 1000 from the left.
fn x(index: usize, count: usize) -> f64 {
    index as f64 / (count.max(2) - 1) as f64 * 1000.0
}

/// Where a value stands, of 1000 from the top.
pub fn y(value: f64, top: f64) -> f64 {
    if top > 0.0 { (1.0 - (value / top).clamp(0.0, 1.0)) * 1000.0 } else { 1000.0 }
}

/// The stretches that were measured, each as the places of its points.
fn stretches(values: &[Option<f64>], top: f64) -> Vec<Vec<(f64, f64)>> {
    let mut stretches: Vec<Vec<(f64, f64)>> = vec![Vec::new()];
    for (index, value) in values.iter().enumerate() {
        match (value, stretches.last_mut()) {
            (Some(value), Some(stretch)) => stretch.push((x(index, values.len()), y(*value, top))),
            _ => stretches.push(Vec::new()),
        }
    }
    stretches.retain(|stretch| !stretch.is_empty());
    stretches
}

/// The path of a line through the points, broken where nothing was measured. A point on its own is a dot.
pub fn line(values: &[Option<f64>], top: f64) -> String {
    let path = |stretch: Vec<(f64, f64)>| match stretch.as_slice() {
        [(x, y)] => format!("M{x:.1} {y:.0}h.01"),
        points => format!("M{}", points.iter().map(|(x, y)| format!("{x:.1} {y:.0}")).collect::<Vec<_>>().join("L")),
    };
    stretches(values, top).into_iter().map(path).collect()
}

/// The path of the ground below that line.
pub fn area(values: &[Option<f64>], top: f64) -> String {
    let path = |stretch: Vec<(f64, f64)>| {
        let (first, last) = (stretch.first().map_or(0.0, |point| point.0), stretch.last().map_or(0.0, |point| point.0));
        let line = stretch.iter().map(|(x, y)| format!("{x:.1} {y:.0}")).collect::<Vec<_>>().join("L");
        format!("M{line}L{last:.1} 1000L{first:.1} 1000Z")
    };
    stretches(values, top).into_iter().map(path).collect()
}

/// Where nothing was measured: from and to, of 100 from the left. A gap goes from the last point before it to the first one behind.
pub fn gaps(values: &[Option<f64>]) -> Vec<(f64, f64)> {
    let mut gaps = Vec::new();
    let mut begun = None;
    for (index, value) in values.iter().map(Some).chain([None]).enumerate() {
        match (value, begun) {
            (Some(None), None) => begun = Some(index),
            (Some(Some(_)) | None, Some(begin)) => {
                let to = if index == values.len() { 1000.0 } else { x(index, values.len()) };
                gaps.push((x(begin.saturating_sub(1), values.len()) / 10.0, to / 10.0));
                begun = None;
            }
            _ => {}
        }
    }
    gaps
}

/// The largest value.
pub fn largest(values: &[Option<f64>]) -> f64 {
    values.iter().flatten().copied().fold(0.0, f64::max)
}

/// The end of a scale for bytes: the least round number that is no less than the largest value, and whose half is round too. What is idle
/// looks idle: no scale is shorter than 2 KiB.
pub fn top_for_bytes(largest: f64) -> f64 {
    let mut unit = 1024.0;
    loop {
        for round in [2.0, 4.0, 6.0, 8.0, 10.0, 20.0, 40.0, 60.0, 80.0, 100.0, 200.0, 400.0, 600.0, 800.0] {
            if round * unit >= largest {
                return round * unit;
            }
        }
        unit *= 1024.0;
    }
}

/// Bytes beside an axis: `800 K`.
pub fn short_bytes(bytes: f64) -> String {
    let mut value = bytes;
    for unit in ["", "K", "M", "G"] {
        if value < 1024.0 {
            return if unit.is_empty() { format!("{value:.0}") } else { format!("{value:.0} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.0} T")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(step: i64, values: &[Option<f64>]) -> Vec<Sample> {
        let sample = |(index, value): (usize, &Option<f64>)| Sample {
            time: 1_795_364_940 + step * index as i64,
            values: value.map(|value| ("cpu".to_owned(), value)).into_iter().collect(),
        };
        values.iter().enumerate().map(sample).collect()
    }

    #[test]
    fn an_hour_is_the_last_hour_of_what_proxmox_keeps() {
        let grid = Grid::of(&samples(60, &[Some(0.5); 70]), Rrd::Hour).unwrap();
        assert_eq!((grid.len(), grid.step, grid.from), (61, 60, 1_795_364_940 + 540));
    }

    #[test]
    fn more_points_than_a_chart_shows_are_joined() {
        let values: Vec<_> = (0..1441).map(|n| Some(f64::from(n))).collect();
        let grid = Grid::of(&samples(60, &values), Rrd::Day).unwrap();
        assert_eq!((grid.len(), grid.step), (121, 720));
        assert_eq!(grid.values("cpu")[0], Some(5.5));
    }

    #[test]
    fn a_sample_that_is_not_written_yet_is_no_gap_and_an_old_one_that_is_missing_is() {
        let mut values = vec![Some(0.5); 70];
        values[69] = None;
        values[30] = None;
        let grid = Grid::of(&samples(60, &values), Rrd::Hour).unwrap();
        let seen = grid.values("cpu");
        assert_eq!(seen.iter().filter(|value| value.is_none()).count(), 1);
        let [(from, to)] = gaps(&seen)[..] else { panic!("{:?}", gaps(&seen)) };
        assert!(to - from > 3.0 && to - from < 4.0, "{from} {to}");
        assert_eq!(line(&seen, 1.0).matches('M').count(), 2);
    }

    #[test]
    fn where_nothing_was_measured_all_is_gap() {
        let grid = Grid::of(&samples(60, &[None; 70]), Rrd::Hour).unwrap();
        assert_eq!(gaps(&grid.values("cpu")), [(0.0, 100.0)]);
        assert_eq!(line(&grid.values("cpu"), 1.0), "");
        assert_eq!(Grid::of(&[], Rrd::Hour), None);
    }

    #[test]
    fn a_line_runs_from_the_left_to_the_right_and_its_ground_is_closed() {
        let values = [Some(0.0), Some(1.0), None, Some(0.5)];
        assert_eq!(line(&values, 1.0), "M0.0 1000L333.3 0M1000.0 500h.01");
        assert_eq!(area(&values[..2], 1.0), "M0.0 1000L1000.0 0L1000.0 1000L0.0 1000Z");
        assert_eq!(gaps(&values).len(), 1);
    }

    #[test]
    fn a_scale_ends_on_a_round_number() {
        assert_eq!([0.0, 3000.0, 700_000.0].map(|n| short_bytes(top_for_bytes(n))), ["2 K", "4 K", "800 K"]);
        assert_eq!(short_bytes(top_for_bytes(900.0 * 1024.0)), "2 M");
        assert_eq!(short_bytes(0.0), "0");
    }
}
