//! Requests and answers as bytes (Modbus Application Protocol 1.1b3, sections 6.3, 6.4 and 7).

use lingate_measure::Beat;

const ILLEGAL_FUNCTION: u8 = 1;
const ILLEGAL_ADDRESS: u8 = 2;
const NO_SUCH_TARGET: u8 = 11;

#[derive(Clone, Copy)]
pub(crate) struct Request {
    function: u8,
    address: u32,
    registers: u32,
}

impl Request {
    pub(crate) fn parse(pdu: &[u8]) -> Request {
        let word = |at: usize| pdu.get(at..at + 2).map_or(0, |word| u32::from(word[0]) << 8 | u32::from(word[1]));
        Request { function: pdu.first().copied().unwrap_or(0), address: word(1), registers: word(3) }
    }

    fn refusal(self, image: Option<&[u8]>) -> Option<u8> {
        let fits = (1..=125).contains(&self.registers) && self.address + self.registers <= 2 * Beat::VALUES;
        match (self.function, image) {
            (3 | 4, None) => Some(NO_SUCH_TARGET),
            (3 | 4, Some(_)) if fits => None,
            (3 | 4, Some(_)) => Some(ILLEGAL_ADDRESS),
            _ => Some(ILLEGAL_FUNCTION),
        }
    }
}

/// Appends the answer to `out` and the beats in it to `beats`; gives the number of whole values in it.
pub(crate) fn answer(
    header: &[u8; 7],
    request: Request,
    image: Option<&[u8]>,
    unit: u32,
    ms: u32,
    out: &mut Vec<u8>,
    beats: &mut Vec<u8>,
) -> u32 {
    out.extend_from_slice(&header[..4]);
    let Some(image) = image.filter(|image| request.refusal(Some(image)).is_none()) else {
        let code = request.refusal(image).unwrap_or(ILLEGAL_FUNCTION);
        out.extend_from_slice(&[0, 3, header[6], request.function | 0x80, code]);
        return 0;
    };
    let bytes = (2 * request.registers) as u8;
    out.extend_from_slice(&(u16::from(bytes) + 3).to_be_bytes());
    out.extend_from_slice(&[header[6], request.function, bytes]);
    let first = out.len();
    let begin = 2 * request.address as usize;
    out.extend_from_slice(&image[begin..begin + usize::from(bytes)]);
    let mut index = Beat::next_index(request.address.div_ceil(2));
    while 2 * index + 2 <= request.address + request.registers {
        let at = first + 2 * (2 * index - request.address) as usize;
        out[at..at + 4].copy_from_slice(&(ms as f32).to_be_bytes());
        beats.extend_from_slice(&Beat { tag: unit * Beat::VALUES + index, ms }.bytes());
        index = Beat::next_index(index + 1);
    }
    request.registers / 2
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    const HEADER: [u8; 7] = [0, 9, 0, 0, 0, 6, 1];

    fn ask(pdu: [u8; 5], image: Option<&[u8]>) -> (Vec<u8>, Vec<u8>, u32) {
        let (mut out, mut beats) = (Vec::new(), Vec::new());
        let count = answer(&HEADER, Request::parse(&pdu), image, 3, 77, &mut out, &mut beats);
        (out, beats, count)
    }

    #[test]
    fn an_answer_has_the_beats_that_the_list_names() {
        let image = vec![0; 2_000];
        let (out, beats, count) = ask([3, 0, 99, 0, 103], Some(&image));
        assert_eq!((out.len(), &out[..9], count), (9 + 206, &[0, 9, 0, 0, 0, 209, 1, 3, 206][..], 51));
        assert_eq!(beats, [(50_u32), 100].map(|index| Beat { tag: 1_500 + index, ms: 77 }.bytes()).concat());
        assert_eq!(f32::from_be_bytes(out[11..15].try_into().unwrap()), 77.0);
    }

    #[test]
    fn what_it_does_not_have_is_refused() {
        let image = vec![0; 2_000];
        let code = |pdu, image| ask(pdu, image).0[8];
        assert_eq!(code([6, 0, 0, 0, 1], Some(&image)), ILLEGAL_FUNCTION);
        assert_eq!(code([3, 3, 231, 0, 2], Some(&image)), ILLEGAL_ADDRESS);
        assert_eq!(code([3, 0, 0, 0, 1], None), NO_SUCH_TARGET);
    }
}
