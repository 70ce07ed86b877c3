use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::comparison::Comparison;

/// Why there is no plot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot draw the plot: {0}")]
pub struct PlotError(String);

/// Okabe and Ito's colours, which people with any kind of colour vision can tell apart.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(213, 94, 0),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(120, 120, 120),
];

const SIZE: (u32, u32) = (960, 560);
const FONT: &str = "sans-serif";

/// An SVG of how full each policy makes the train, beside the bound: over the load when there are several, as bars when there is
/// one.
///
/// # Errors
/// Nothing to draw.
pub fn plot(comparisons: &[Comparison]) -> Result<String, PlotError> {
    let mut svg = String::new();
    let failed = |error: &dyn std::fmt::Display| PlotError(error.to_string());
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(|error| failed(&error))?;
        let drawn = match comparisons {
            [] => return Err(PlotError("nothing was compared".to_owned())),
            [one] => bars(&area, one),
            several => lines(&area, several),
        };
        drawn.map_err(|error| failed(&error))?;
        area.present().map_err(|error| failed(&error))?;
    }
    Ok(svg)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

/// Fill in percent over load, one line per policy.
fn lines<'a>(area: &Area<'a>, comparisons: &[Comparison]) -> Drawn<'a> {
    let mut by_load: Vec<&Comparison> = comparisons.iter().collect();
    by_load.sort_by(|a, b| a.load().total_cmp(&b.load()));
    let first = by_load[0];
    let last = by_load[by_load.len() - 1].load();
    let bound: Vec<(f64, f64)> = by_load.iter().map(|c| (c.load(), 100.0 * c.bound_fill())).collect();
    let of_policy = |nth: usize| -> Vec<(f64, f64)> {
        by_load.iter().map(|c| (c.load(), 100.0 * c.fill(&c.policies[nth].figures))).collect()
    };
    let fills = (0..first.policies.len()).flat_map(of_policy).map(|(_, fill)| fill);
    let lowest = (fills.fold(100.0, f64::min) / 5.0).floor() * 5.0;
    let margin = (last - first.load()) * 0.03;
    let mut chart = ChartBuilder::on(area)
        .caption(format!("{}: seat-segments filled at departure", first.name), (FONT, 22))
        .margin(16)
        .margin_right(32)
        .x_label_area_size(48)
        .y_label_area_size(64)
        .build_cartesian_2d(first.load() - margin..last + margin, lowest..101.0)?;
    chart
        .configure_mesh()
        .x_desc("seat-segments asked for / seat-segments there are")
        .y_desc("filled (%)")
        .x_label_formatter(&|load| format!("{load:.1}"))
        .y_label_formatter(&|fill| format!("{fill:.0}"))
        .max_light_lines(1)
        .bold_line_style(RGBColor(225, 225, 225))
        .label_style((FONT, 15))
        .axis_desc_style((FONT, 16))
        .draw()?;
    chart
        .draw_series(DashedLineSeries::new(bound.iter().copied(), 8, 5, BLACK.stroke_width(2)))?
        .label("clairvoyant bound")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 24, y)], BLACK.stroke_width(2)));
    for (nth, line) in first.policies.iter().enumerate() {
        let colour = COLOURS[nth % COLOURS.len()];
        let points = of_policy(nth);
        chart
            .draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(3)))?
            .label(&line.policy)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 24, y)], colour.stroke_width(3)));
        chart.draw_series(points.into_iter().map(|point| Circle::new(point, 4, colour.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.9))
        .border_style(RGBColor(200, 200, 200))
        .label_font((FONT, 15))
        .margin(12)
        .legend_area_size(32)
        .draw()
}

/// Fill in percent as one bar per policy, and the bound as a line across them.
fn bars<'a>(area: &Area<'a>, comparison: &Comparison) -> Drawn<'a> {
    let policies = comparison.policies.len();
    let bound = 100.0 * comparison.bound_fill();
    let caption = format!("{}: seat-segments filled at departure, load {:.2}", comparison.name, comparison.load());
    let mut chart = ChartBuilder::on(area)
        .caption(caption, (FONT, 22))
        .margin(16)
        .margin_right(32)
        .x_label_area_size(48)
        .y_label_area_size(210)
        .build_cartesian_2d(0.0..105.0, (0.0..policies as f64 + 0.5).step(1.0))?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_desc("filled (%)")
        .x_label_formatter(&|fill| format!("{fill:.0}"))
        .max_light_lines(1)
        .bold_line_style(RGBColor(225, 225, 225))
        .label_style((FONT, 15))
        .axis_desc_style((FONT, 16))
        .draw()?;
    let right = Pos::new(HPos::Right, VPos::Center);
    let left = Pos::new(HPos::Left, VPos::Center);
    for (nth, line) in comparison.policies.iter().enumerate() {
        // The first policy stands at the top.
        let middle = (policies - nth) as f64 - 0.5;
        let fill = 100.0 * comparison.fill(&line.figures);
        let colour = COLOURS[nth % COLOURS.len()];
        let corners = [(0.0, middle - 0.3), (fill, middle + 0.3)];
        chart.draw_series([Rectangle::new(corners, colour.filled())])?;
        let (x, y) = chart.backend_coord(&(0.0, middle));
        area.draw(&Text::new(
            line.policy.clone(),
            (x - 8, y),
            (FONT, 16).into_font().into_text_style(area).pos(right),
        ))?;
        let (x, y) = chart.backend_coord(&(0.0, middle));
        let inside = (FONT, 16).into_font().color(&WHITE).pos(left);
        area.draw(&Text::new(format!("{fill:.1} %"), (x + 8, y), inside))?;
    }
    let top = policies as f64 + 0.1;
    chart.draw_series(DashedLineSeries::new([(bound, 0.0), (bound, top)], 8, 5, BLACK.stroke_width(2)))?;
    let (x, y) = chart.backend_coord(&(bound, top + 0.2));
    let above = (FONT, 16).into_font().into_text_style(area).pos(Pos::new(HPos::Center, VPos::Center));
    area.draw(&Text::new(format!("clairvoyant bound {bound:.1} %"), (x, y), above))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demand::Reference;
    use crate::rules::PolicyFile;

    #[test]
    fn a_plot_names_every_policy_and_the_bound() {
        let policies = PolicyFile::parse(
            "[[policy]]\nname = 'by lot'\nrule = 'random_seat'\n[[policy]]\nname = 'tight'\nrule = 'best_fit'",
        )
        .unwrap();
        let compare = |load| Comparison::of(&Reference::ALL[0].scenario(load, 1), &policies, 1).unwrap();
        let several = [compare(0.2), compare(0.4)];
        for svg in [plot(&several[..1]).unwrap(), plot(&several).unwrap()] {
            for word in ["<svg", "by lot", "tight", "clairvoyant bound", "rail-17", "</svg>"] {
                assert!(svg.contains(word), "{word}");
            }
        }
        assert!(plot(&[]).is_err());
    }
}
