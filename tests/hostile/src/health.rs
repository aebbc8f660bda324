use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use crate::row::Visit;

/// Longer than the endpoint lets anybody sit.
const LONGEST: Duration = Duration::from_secs(15);

/// All visitors of all scripts, at the same time; how many there were.
pub(crate) fn play(scripts: &[Visit], address: SocketAddr, complaints: &mut Vec<String>) -> u64 {
    let visits: Vec<_> = scripts
        .iter()
        .flat_map(|script| std::iter::repeat_n(script, script.visitors as usize))
        .map(|script| {
            let asked = script.clone();
            (script, thread::spawn(move || visit(&asked, address)))
        })
        .collect();
    let count = visits.len() as u64;
    for (script, visit) in visits {
        let answer = visit.join().unwrap_or_else(|_| "a visitor panicked".to_owned());
        let code = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).unwrap_or("closed");
        if !script.expect.iter().any(|expected| expected == code) {
            complaints.push(format!("{:?}: {code} instead of {:?}", cut(&script.send), script.expect));
        }
        complaints.extend(script.without.iter().filter(|it| answer.contains(*it)).map(|it| format!("it says {it:?}")));
    }
    complaints.truncate(5);
    count
}

/// What came until the connection ended, or nothing did for too long.
fn visit(script: &Visit, address: SocketAddr) -> String {
    let Ok(mut stream) = TcpStream::connect_timeout(&address, LONGEST) else { return String::new() };
    let _ = stream.set_read_timeout(Some(LONGEST)).and_then(|()| stream.set_write_timeout(Some(LONGEST)));
    let text = script.send.replace("{address}", &address.to_string());
    // A server that has heard enough closes; what it said before is still to be read.
    let _ = stream.write_all(text.as_bytes());
    if let Some((text, times)) = &script.again {
        let all = text.repeat(*times);
        let _ = all.as_bytes().chunks(4096).try_for_each(|part| stream.write_all(part));
    }
    let mut answer = Vec::new();
    let mut part = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut part) {
        answer.extend_from_slice(&part[..count]);
        if answer.len() > 1 << 20 {
            break;
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn cut(text: &str) -> String {
    text.chars().take(60).collect()
}
