use domain::{Run, ServiceDate, TrainCode};
use indicatif::{ProgressBar, ProgressStyle};
use proto::common::v1 as wire;
use proto::gateway::v1 as gateway;
use serde_json::json;

use super::connect::within_deadline;
use super::{ClientError, Target};

/// Puts the trains of a service date on sale
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  chunyun open-sale 2026-12-01\n  chunyun open-sale 2026-12-01 --train G71 --train K598 --now"
)]
pub struct OpenSale {
    /// The date at the trains' origins
    date: ServiceDate,
    /// Only this train; may be given several times
    #[arg(long = "train")]
    trains: Vec<TrainCode>,
    /// Open at once instead of at each station's hour
    #[arg(long)]
    now: bool,
}

/// Ends the sale of a run for good
#[derive(Debug, clap::Args)]
pub struct CloseSale {
    /// The run, such as G71@2026-12-01
    run: Run,
    /// The run does not go at all
    #[arg(long)]
    cancelled: bool,
}

/// `chunyun open-sale`: with progress while it goes.
///
/// # Errors
/// As [`ClientError`] says.
pub async fn open_sale(target: &Target, command: &OpenSale) -> Result<(), ClientError> {
    let mut client = target.connect().await?.operator();
    let request = gateway::OpenSaleRequest {
        service_date: command.date.to_string(),
        train_codes: command.trains.iter().map(TrainCode::to_string).collect(),
        // The first moment there is: every station's sale is open.
        sale_opens_ms: i64::from(command.now),
    };
    let mut progress = client.open_sale(request).await?.into_inner();
    let bar = ProgressBar::new(0).with_style(
        ProgressStyle::with_template("opening sale {bar:40} {pos}/{len} trains")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let mut last = gateway::OpenSaleResponse::default();
    while let Some(step) = progress.message().await? {
        bar.set_length(u64::from(step.total));
        bar.set_position(u64::from(step.opened));
        last = step;
    }
    bar.finish_and_clear();
    if target.json {
        crate::output::document(
            &json!({ "service_date": command.date.to_string(), "opened": last.opened, "places": last.places }),
        );
    } else {
        crate::output::line(&format!("{}: {} trains on sale with {} places", command.date, last.opened, last.places));
    }
    Ok(())
}

/// `chunyun close-sale`.
///
/// # Errors
/// As [`ClientError`] says.
pub async fn close_sale(target: &Target, command: &CloseSale) -> Result<(), ClientError> {
    let run = wire::Run {
        train_code: command.run.train.to_string(),
        service_date: command.run.date.to_string(),
        ordinal: u32::from(command.run.ordinal),
    };
    let request = gateway::CloseSaleRequest { run: Some(run), cancelled: command.cancelled };
    target.connect().await?.operator().close_sale(within_deadline(request)).await?;
    if target.json {
        crate::output::document(&json!({ "closed": command.run.to_string(), "cancelled": command.cancelled }));
    } else {
        crate::output::line(&format!("{}: sale has ended", command.run));
    }
    Ok(())
}
