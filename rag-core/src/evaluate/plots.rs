//! The plots of a report, as SVG: the modes with their intervals, and the differences question by question.
//!
//! Pure. No text of a question or a document gets into a plot.

use std::ops::Range;

use plotters::{
    backend::SVGBackend,
    chart::{ChartBuilder, SeriesLabelPosition},
    coord::ranged1d::{IntoSegmentedCoord, SegmentValue},
    drawing::{DrawingArea, IntoDrawingArea},
    element::{ErrorBar, PathElement, Rectangle},
    series::AreaSeries,
    style::{BLACK, Color, RGBColor, WHITE},
};

use super::report::{ModeFigures, NDCG_DEPTH, QueryFigures, Report};

/// Size of a plot in pixels.
const SIZE: (u32, u32) = (720, 360);
/// Colours of the modes, told apart also by those who do not see all colours (Okabe and Ito).
const COLOURS: [RGBColor; 3] = [RGBColor(0, 114, 178), RGBColor(230, 159, 0), RGBColor(0, 158, 115)];
/// Font of all labels, as the page's style sheet would choose it.
const FONT: (&str, u32) = ("sans-serif", 14);

/// A plot could not be drawn.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a plot could not be drawn: {0}")]
pub struct PlotError(String);

fn failed(error: impl std::fmt::Display) -> PlotError {
    PlotError(error.to_string())
}

fn drawn(
    draw: impl FnOnce(&DrawingArea<SVGBackend<'_>, plotters::coord::Shift>) -> Result<(), PlotError>,
) -> Result<String, PlotError> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        draw(&area)?;
        area.present().map_err(failed)?;
    }
    Ok(svg)
}

/// nDCG@10 of each mode, with its interval.
pub(super) fn bars(report: &Report) -> Result<String, PlotError> {
    drawn(|area| {
        let modes = &report.modes;
        // The end is included here.
        let places: Range<usize> = 0..modes.len().saturating_sub(1);
        let edge = |at: usize| if at < modes.len() { SegmentValue::Exact(at) } else { SegmentValue::Last };
        let mut chart = ChartBuilder::on(area)
            .margin(10)
            .x_label_area_size(30)
            .y_label_area_size(50)
            .build_cartesian_2d(places.into_segmented(), 0.0..1.0)
            .map_err(failed)?;
        let name = |place: &SegmentValue<usize>| match place {
            SegmentValue::CenterOf(at) => modes.get(*at).map(|mode| format!("{:?}", mode.mode)).unwrap_or_default(),
            SegmentValue::Exact(_) | SegmentValue::Last => String::new(),
        };
        let mut mesh = chart.configure_mesh();
        mesh.disable_x_mesh().max_light_lines(1).x_label_formatter(&name).label_style(FONT).axis_desc_style(FONT);
        mesh.y_desc(format!("nDCG@{NDCG_DEPTH}")).draw().map_err(failed)?;
        let bar = |(at, mode): (usize, &ModeFigures)| {
            let corners = [(edge(at), mode.ndcg.mean), (edge(at + 1), 0.0)];
            let mut bar = Rectangle::new(corners, COLOURS[at % COLOURS.len()].mix(0.7).filled());
            bar.set_margin(0, 0, 60, 60);
            bar
        };
        chart.draw_series(modes.iter().enumerate().map(bar)).map_err(failed)?;
        let whisker = |(at, mode): (usize, &ModeFigures)| {
            let interval = mode.ndcg;
            let place = SegmentValue::CenterOf(at);
            ErrorBar::new_vertical(place, interval.low, interval.mean, interval.high, BLACK.filled(), 14)
        };
        chart.draw_series(modes.iter().enumerate().map(whisker)).map_err(failed)?;
        Ok(())
    })
}

/// What each other mode makes of each question against the configured one, the largest gain first.
pub(super) fn differences(report: &Report) -> Result<String, PlotError> {
    drawn(|area| {
        let questions = report.per_query.len().max(1);
        let mut chart = ChartBuilder::on(area)
            .margin(10)
            .x_label_area_size(40)
            .y_label_area_size(50)
            .build_cartesian_2d(0.0..questions as f64, -1.0..1.0)
            .map_err(failed)?;
        let mut mesh = chart.configure_mesh();
        mesh.max_light_lines(1).label_style(FONT).axis_desc_style(FONT).x_label_formatter(&|at| format!("{at:.0}"));
        mesh.x_desc("questions, sorted").y_desc(format!("difference of nDCG@{NDCG_DEPTH}")).draw().map_err(failed)?;
        for (at, mode) in report.modes.iter().enumerate().skip(1) {
            let colour = COLOURS[at % COLOURS.len()];
            let gain = |query: &QueryFigures| Some(query.modes.get(at)?.ndcg - query.configured());
            let mut gains: Vec<f64> = report.per_query.iter().filter_map(gain).collect();
            gains.sort_by(|a, b| b.total_cmp(a));
            // Each question is a step of width 1.
            let steps = gains.iter().enumerate().flat_map(|(x, gain)| [(x as f64, *gain), (x as f64 + 1.0, *gain)]);
            chart
                .draw_series(AreaSeries::new(steps, 0.0, colour.mix(0.2)).border_style(colour))
                .map_err(failed)?
                .label(format!("{:?}", mode.mode))
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(3)));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK.mix(0.3))
            .label_font(FONT)
            .draw()
            .map_err(failed)
    })
}
