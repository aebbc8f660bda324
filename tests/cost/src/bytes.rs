//! Bytes a reading, all of them: sealed message, MQTT 5 PUBLISH at QoS 1, TLS 1.3 record.

use anyhow::Result;
use lingate_cost::signal::Signal;
use lingate_cost::stage;
use lingate_refine::Refinery;

/// Fixed header of 3 bytes, topic of 31 with its length, packet id, no properties.
const MQTT: usize = 3 + 2 + 31 + 2 + 1;
/// Header, content type, tag (RFC 8446, 5.2). A record holds up to 16 KiB.
const TLS: usize = 5 + 1 + 16;

const SHAPES: [(usize, u32); 6] = [(10, 100), (10, 500), (10, 1_000), (100, 500), (500, 500), (500, 5_000)];

pub(crate) fn print() -> Result<()> {
    println!("bytes a reading with signature, encryption, MQTT and TLS; float32, no declared resolution\n");
    println!("points  readings a batch      walk   process     noise");
    for (points, readings) in SHAPES {
        let [walk, process, noise] =
            [Signal::Walk, Signal::Process, Signal::Noise].map(|it| mean(it, points, readings));
        println!("{points:>6}  {readings:>16}  {:>8.2}  {:>8.2}  {:>8.2}", walk?, process?, noise?);
    }
    let bound = [Signal::Walk, Signal::Process, Signal::Noise].map(|it| it.entropy_bits() / 8.0);
    println!("entropy, if the value before is known {:>6.2}  {:>8.2}  {:>8.2}", bound[0], bound[1], bound[2]);
    println!("envelope, MQTT and TLS are {} bytes a batch", 128 + MQTT + TLS);
    Ok(())
}

fn mean(signal: Signal, points: usize, readings: u32) -> Result<f64> {
    let polls = stage::polls(signal, points, (20 * readings as usize / points).max(1));
    let (mut epoch, signer) = stage::epoch(points, readings)?;
    let (mut bytes, mut count) = (0, 0);
    for batch in stage::batches(&mut Refinery::new(stage::plan(points, readings)), polls) {
        let sealed = epoch.seal_batch(&batch, &signer)?;
        let message = sealed.bytes().len() + MQTT;
        bytes += message + TLS * message.div_ceil(16 * 1024);
        count += batch.readings().len();
    }
    Ok(bytes as f64 / count as f64)
}
