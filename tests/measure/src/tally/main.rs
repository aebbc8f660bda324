//! `tally`: a subscriber that counts, outside of what is measured. Sealed records it opens with a role's key, signature and
//! all; of JSON it counts the members whose name is a unit's value. Its session outlives the broker's restart.

mod count;
mod json;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use lingate_measure::utc_us;
use lingate_sandbox::{Arrival, Authority, Opener};
use rumqttc::{AsyncClient, BrokerSessionResumePolicy, Event, MqttOptions, Packet, QoS};

use count::Count;

const LINE_EVERY_US: u64 = 200_000;
const PAUSE: Duration = Duration::from_millis(100);
const PACKET_BYTES_MAX: u32 = 16 << 20;
const WINDOW: u16 = 1_000;

/// Counts what arrives, sealed or as JSON
#[derive(Parser)]
#[command(name = "tally")]
struct Arguments {
    /// Of the broker on this machine, without TLS
    #[arg(long, default_value_t = 1883)]
    port: u16,
    /// Whose records are opened: a folder that `lingate-sandbox init` made. Read when the first sealed record comes
    #[arg(long)]
    sandbox: Option<PathBuf>,
    #[arg(long, default_value = "role:oem-quality")]
    role: String,
    /// A line each 200 ms: microseconds since 1970, messages, payload bytes, readings, wrong ones, messages refused
    #[arg(long)]
    counts: PathBuf,
    /// Beats that arrived: 8 bytes of the beat, 8 bytes of microseconds since 1970
    #[arg(long)]
    beats: PathBuf,
    /// The broker's name for it
    #[arg(long, default_value = "tally")]
    client: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut lines = File::create(&arguments.counts)?;
    let mut beats = BufWriter::new(File::create(&arguments.beats)?);
    let (mut count, mut opener) = (Count::default(), None);
    let mut tick = tokio::time::interval(Duration::from_micros(LINE_EVERY_US));
    loop {
        let (client, mut events) = AsyncClient::builder(options(&arguments)).capacity(1_024).build();
        loop {
            tokio::select! {
                _ = tick.tick() => {
                    writeln!(lines, "{} {count}", utc_us())?;
                    beats.flush()?;
                }
                event = events.poll() => match event {
                    Ok(Event::Incoming(Packet::ConnAck(connack))) if !connack.session_present => {
                        client.try_subscribe("#", QoS::AtLeastOnce).context("cannot subscribe")?;
                    }
                    Ok(Event::Incoming(Packet::Publish(publish))) => {
                        let topic = String::from_utf8_lossy(&publish.topic).into_owned();
                        let arrival = Arrival { topic, payload: publish.payload.to_vec() };
                        if opener.is_none() && arrival.topic.starts_with("lingate/") {
                            opener = opener_of(&arguments)?;
                        }
                        count.take(&arrival, opener.as_mut(), utc_us(), &mut beats)?;
                    }
                    Ok(_) => {}
                    Err(_) => break,
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn opener_of(arguments: &Arguments) -> Result<Option<Opener>> {
    let Some(folder) = &arguments.sandbox else { return Ok(None) };
    let authority = Authority::open(folder)?;
    Ok(Some(Opener::new(authority.trust(&arguments.role)?)))
}

fn options(arguments: &Arguments) -> MqttOptions {
    let mut options = MqttOptions::new(&arguments.client, ("127.0.0.1", arguments.port));
    options.set_clean_start(false);
    options.set_session_expiry_interval(Some(86_400));
    options.set_broker_session_resume_policy(BrokerSessionResumePolicy::AllowBrokerOnly);
    options.set_keep_alive(60);
    options.set_receive_maximum(Some(WINDOW));
    options.set_max_packet_size(Some(PACKET_BYTES_MAX));
    options.set_max_request_batch(usize::from(WINDOW));
    options
}
