//! `registers`: a Modbus TCP device as large as wanted. Each unit has 500 float32 values in holding registers 0 to 999,
//! the high word first; one in fifty is a beat. 127.0.0.1 has the units from 1 on, 127.0.0.2 from 2, and so on: with
//! `--address 0.0.0.0` each loopback address is a device of its own.

#![allow(clippy::disallowed_methods, reason = "a device has a clock")]

mod answer;

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use lingate_measure::{Beat, Walk, utc_us};

use answer::{Request, answer};

const TURN: Duration = Duration::from_millis(100);

/// A Modbus TCP device of any size, whose values tell when they were read
#[derive(Parser)]
#[command(name = "registers")]
struct Arguments {
    #[arg(long, default_value = "127.0.0.1")]
    address: IpAddr,
    #[arg(long, default_value_t = 5020)]
    port: u16,
    /// With 500 values each
    #[arg(long, default_value_t = 10)]
    units: u32,
    /// The beats that were served: tag and milliseconds, 8 bytes each
    #[arg(long)]
    beats: Option<PathBuf>,
    /// Microseconds since 1970 at which the milliseconds begin
    #[arg(long)]
    began: Option<PathBuf>,
}

struct Device {
    /// By unit; as they stand in an answer.
    registers: Vec<RwLock<Vec<u8>>>,
    began: Instant,
    beats: Option<Mutex<Vec<u8>>>,
    readings: AtomicU64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut walk = Walk::new((arguments.units * Beat::VALUES) as usize);
    let (began, utc) = (Instant::now(), utc_us());
    if let Some(file) = &arguments.began {
        std::fs::write(file, utc.to_string())?;
    }
    let device = Arc::new(Device {
        registers: images(&walk).map(RwLock::new).collect(),
        began,
        beats: arguments.beats.is_some().then(Mutex::default),
        readings: AtomicU64::new(0),
    });
    let place = (arguments.address, arguments.port);
    let listener = TcpListener::bind(place).with_context(|| format!("cannot listen on {place:?}"))?;
    let served = device.clone();
    std::thread::spawn(move || listener.incoming().flatten().for_each(|stream| serve(&served, stream)));
    let mut file = arguments.beats.map(File::create).transpose()?;
    for turn in 1_u64.. {
        std::thread::sleep(TURN);
        walk.turn();
        for (registers, image) in device.registers.iter().zip(images(&walk)) {
            *registers.write().expect("no holder panics") = image;
        }
        if let (Some(file), Some(beats)) = (&mut file, &device.beats) {
            let served = std::mem::take(&mut *beats.lock().expect("no holder panics"));
            file.write_all(&served)?;
        }
        if turn % 10 == 0 {
            println!("{} {}", utc_us(), device.readings.load(Relaxed));
        }
    }
    Ok(())
}

fn images(walk: &Walk) -> impl Iterator<Item = Vec<u8>> {
    let values: Vec<f32> = walk.values().collect();
    let unit = |values: &[f32]| values.iter().flat_map(|value| value.to_be_bytes()).collect();
    values.chunks(Beat::VALUES as usize).map(unit).collect::<Vec<_>>().into_iter()
}

fn serve(device: &Arc<Device>, stream: TcpStream) {
    let device = device.clone();
    // A client that goes away ends its thread; what else could be told of it?
    std::thread::spawn(move || drop(talk(&device, stream)));
}

fn talk(device: &Device, mut stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let first = match stream.local_addr()?.ip() {
        IpAddr::V4(address) => u32::from_be_bytes(address.octets()) & 0xffff,
        IpAddr::V6(_) => 1,
    };
    let mut requests = BufReader::with_capacity(65_536, stream.try_clone()?);
    let (mut out, mut beats) = (Vec::with_capacity(512), Vec::with_capacity(64));
    loop {
        let mut header = [0; 7];
        requests.read_exact(&mut header)?;
        let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
        anyhow::ensure!((2..=260).contains(&length), "not Modbus");
        let mut pdu = [0; 260];
        requests.read_exact(&mut pdu[..length - 1])?;
        let request = Request::parse(&pdu[..length - 1]);
        let unit = (first + u32::from(header[6])).wrapping_sub(1);
        let registers = unit.checked_sub(1).and_then(|place| device.registers.get(place as usize));
        let ms = u32::try_from(device.began.elapsed().as_millis()).unwrap_or(u32::MAX);
        out.clear();
        beats.clear();
        let image = registers.map(|registers| registers.read().expect("no holder panics"));
        let count = answer(&header, request, image.as_deref().map(Vec::as_slice), unit, ms, &mut out, &mut beats);
        drop(image);
        if let Some(list) = &device.beats {
            list.lock().expect("no holder panics").extend_from_slice(&beats);
        }
        device.readings.fetch_add(u64::from(count), Relaxed);
        stream.write_all(&out)?;
    }
}
