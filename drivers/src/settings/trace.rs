use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// Hears which keys a parser asks for and as what: the parser itself is the description of the file.
#[derive(Clone, Debug, Default)]
pub struct Trace(Rc<RefCell<Vec<Asked>>>);

/// One question of a parser.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// `device[2].point[0].register`
    pub path: String,
    pub kind: Kind,
}

/// What a key is read as.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Not how it is read, but that it may be there.
    Known,
    /// Not how it is read, but that it must be there.
    Required,
    Text,
    /// One or a list of them.
    Texts,
    TextOrInteger,
    TextOrNumber,
    /// From and to.
    Integer(String, String),
    Number(f64, f64),
    Decimal,
    /// One number or a list of them.
    Numbers,
    /// One text, number or truth value, or a list of them.
    Scalars,
    /// Two numbers.
    Range,
    Boolean,
    Duration(Duration, Duration),
    Size(u64, u64),
    Words(Vec<String>),
    Table,
    Tables,
}

impl Trace {
    pub(super) fn asked(&self, path: &str, kind: Kind) {
        // An element of a list is told with the list.
        if !path.ends_with(']') {
            self.0.borrow_mut().push(Asked { path: path.to_owned(), kind });
        }
    }

    /// What was asked since the last call, in order.
    pub fn take(&self) -> Vec<Asked> {
        self.0.take()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;
    use crate::settings::{DeTable, Table};

    #[test]
    fn a_trace_hears_every_key_once_whether_it_is_there_or_not() {
        let file = DeTable::parse("flush = { age = '1s' }\nlist = ['a', 'b']\n[[point]]\nx = 1").unwrap();
        let trace = Trace::default();
        let mut table = Table::new(file.get_ref(), file.span(), "").traced(&trace);
        let mut flush = table.take("flush").table().unwrap();
        let _ = flush.take("age").duration(Duration::ZERO..=Duration::from_secs(9));
        let _ = table.take("list").texts(0..=9);
        let _ = table.require("gone").boolean();
        for mut point in table.take("point").tables(0..=9) {
            let _ = point.take("x").integer(0..=7);
        }
        let asked = |path: &str, kind| Asked { path: path.to_owned(), kind };
        let expected = [
            asked("flush", Kind::Table),
            asked("flush.age", Kind::Duration(Duration::ZERO, Duration::from_secs(9))),
            asked("list", Kind::Texts),
            asked("gone", Kind::Required),
            asked("gone", Kind::Boolean),
            asked("point", Kind::Tables),
            asked("point[0].x", Kind::Integer("0".to_owned(), "7".to_owned())),
        ];
        let told: Vec<Asked> = trace.take().into_iter().filter(|asked| asked.kind != Kind::Known).collect();
        assert_eq!(told, expected);
    }
}
