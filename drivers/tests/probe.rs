//! Looking at a device over a real socket, as `lingate probe modbus` does.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test fails by panic and brings its own clock")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use lingate_drivers::Site;
use lingate_drivers::modbus::probe::{Answer, Found, ProbeError, Target, blocks, identify, read, unit};
use lingate_model::{Clock, ClockState, Now, UtcMicros};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Holding registers 0 to 9 and 20, coils 0 to 2; unit 3 has them; units 4, 6 and 7 refuse everything as a gateway does for
/// units that are not there, but for the coils of unit 7; all others are silent.
async fn device(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream));
    }
}

async fn serve(mut stream: TcpStream) {
    let mut header = [0; 7];
    while stream.read_exact(&mut header).await.is_ok() {
        let unit = header[6];
        let mut body = vec![0; usize::from(header[5]) - 1];
        stream.read_exact(&mut body).await.unwrap();
        let [function, a, b, c, ref rest @ ..] = body[..] else { return };
        let d = rest.first().copied().unwrap_or(0);
        let (start, count) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let has = |address: u16| match function {
            3 => address < 10 || address == 20,
            1 => address < 3,
            _ => false,
        };
        let mut pdu = match function {
            0x2B if unit == 3 => [&[0x2B, 0x0E, 1, 1, 0, 0, 2, 0, 4][..], b"ACME", &[1, 3], b"X-7"].concat(),
            1 if unit == 7 => vec![1, 1, 1],
            _ if unit == 4 || unit == 7 => vec![function | 0x80, 4],
            _ if unit == 6 => vec![function | 0x80, 11],
            1 | 3 if !(start..start + count).all(has) => vec![function | 0x80, 2],
            3 => [vec![3, (2 * count) as u8], (start..start + count).flat_map(|at| (100 + at).to_be_bytes()).collect()]
                .concat(),
            1 => vec![1, 1, 0b101],
            _ => vec![function | 0x80, 1],
        };
        if ![3, 4, 6, 7].contains(&unit) {
            continue;
        }
        let length = u16::try_from(pdu.len() + 1).unwrap().to_be_bytes();
        let mut frame = vec![header[0], header[1], 0, 0, length[0], length[1], unit];
        frame.append(&mut pdu);
        if stream.write_all(&frame).await.is_err() {
            return;
        }
    }
}

struct Bench {
    target: Target,
    site: Site,
}

impl Bench {
    async fn start() -> Bench {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("\"{}\"", listener.local_addr().unwrap());
        tokio::spawn(device(listener));
        let keys = [("address", address.as_str()), ("timeout", "\"200ms\"")];
        let keys = keys.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
        Bench { target: Target { driver: "modbus-tcp".to_owned(), keys, unit: 3 }, site: Site::bare("/nowhere".into()) }
    }

    async fn read(&self, register: &str, count: u16) -> Result<Answer, ProbeError> {
        read(&self.target, register, count, &self.site).await
    }
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(TestClock(Instant::now()))
}

struct TestClock(Instant);

impl Clock for TestClock {
    fn now(&self) -> Now {
        let monotonic = self.0.elapsed();
        Now { monotonic, utc: UtcMicros(monotonic.as_micros() as i64), clock: ClockState::Synced }
    }
}

#[tokio::test]
async fn one_read_gives_the_registers_as_they_came() {
    let bench = Bench::start().await;
    assert!(matches!(bench.read("holding:2", 3).await.unwrap(), Answer::Registers(words) if words == [102, 103, 104]));
    assert!(matches!(bench.read("40003", 1).await.unwrap(), Answer::Registers(words) if words == [102]), "from one");
    assert!(matches!(bench.read("coil:0", 3).await.unwrap(), Answer::Bits(bits) if bits == [true, false, true]));
}

#[tokio::test]
async fn what_is_refused_is_told_and_what_is_no_register_too() {
    let bench = Bench::start().await;
    assert_eq!(bench.read("holding:10", 1).await.unwrap(), Answer::Refused(2));
    assert_eq!(bench.read("input:0", 1).await.unwrap(), Answer::Refused(1));
    let error = bench.read("holdng:1", 1).await.unwrap_err();
    assert!(error.to_string().contains("did you mean \"holding:1\"?"), "{error}");
}

#[tokio::test]
async fn a_device_says_who_it_is() {
    let bench = Bench::start().await;
    let patience = Duration::from_secs(5);
    let told = identify(&bench.target, "holding:0", patience, &bench.site, clock()).await.unwrap().unwrap();
    assert_eq!((told.vendor.as_str(), told.product.as_str()), ("ACME", "X-7"));
}

#[tokio::test]
async fn a_scan_tells_who_is_there_and_what_they_have() {
    let bench = Bench::start().await;
    let found = async |number| {
        let target = Target { unit: number, ..bench.target.clone() };
        unit(&target, "holding:0", &bench.site).await.unwrap()
    };
    assert_eq!(found(3).await, Found::Answers);
    assert_eq!(found(4).await, Found::NobodyBehindGateway(4));
    assert_eq!(found(6).await, Found::NobodyBehindGateway(11));
    assert_eq!(found(7).await, Found::Answers, "its coils say that it is there");
    assert_eq!(found(5).await, Found::Silent);
    let found = blocks(&bench.target, "holding", 0..=31, &bench.site, clock()).await.unwrap();
    assert_eq!((found.runs, found.is_cut), (vec![0..=9, 20..=20], false));
    let nothing = blocks(&bench.target, "input", 0..=7, &bench.site, clock()).await.unwrap();
    assert_eq!(nothing.runs, []);
}
