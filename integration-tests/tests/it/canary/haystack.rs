//! What is searched, and what for.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Something that must not be found, in the forms it could stand in.
pub struct Needle {
    pub text: String,
    forms: Vec<Vec<u8>>,
}

impl Needle {
    /// A text's forms: as it is, escaped, in hexadecimal, and in base64 at each of the three ways it can lie in it.
    pub fn of(text: &str) -> Self {
        let mut forms = vec![text.as_bytes().to_vec(), text.to_lowercase().into_bytes()];
        forms.extend([hex::encode(text).into_bytes(), hex::encode_upper(text).into_bytes()]);
        // As Redis writes what is not ASCII.
        let escaped = |byte: u8| if byte.is_ascii() { char::from(byte).to_string() } else { format!("\\x{byte:02x}") };
        forms.push(text.bytes().map(escaped).collect::<String>().into_bytes());
        for before in 0..3 {
            let bytes = [&vec![0; before], text.as_bytes()].concat();
            // The characters that the bytes around it have no part in.
            let inner = (before * 8).div_ceil(6)..bytes.len() * 8 / 6;
            forms.push(STANDARD_NO_PAD.encode(&bytes).as_bytes()[inner.clone()].to_vec());
            forms.push(URL_SAFE_NO_PAD.encode(&bytes).as_bytes()[inner].to_vec());
        }
        Self { text: text.to_owned(), forms }
    }
}

/// Everything of one kind that a fleet wrote down or sent away.
pub struct Haystack {
    pub name: String,
    bytes: Vec<u8>,
    control: String,
}

impl Haystack {
    pub fn new(name: &str, bytes: Vec<u8>) -> Self {
        Self { name: name.to_owned(), bytes, control: String::new() }
    }

    /// Names something that must be found: a search that does not find it would find nothing else either.
    pub fn with_control(mut self, control: &str) -> Self {
        control.clone_into(&mut self.control);
        self
    }

    pub fn expect_control(&self) {
        let found = self.find(&[Needle::of(&self.control)]);
        assert!(found.is_some(), "{:?} is not found in {} of {} bytes", self.control, self.name, self.bytes.len());
    }

    /// The first needle that stands in it in some form, with its surroundings. All are looked for at once: what is searched
    /// is megabytes long.
    pub fn find(&self, needles: &[Needle]) -> Option<String> {
        let mut by_first = vec![Vec::new(); 256];
        for needle in needles {
            for form in &needle.forms {
                by_first[usize::from(form[0])].push((form, &needle.text));
            }
        }
        for (start, first) in self.bytes.iter().enumerate() {
            let here = &self.bytes[start..];
            let hit = by_first[usize::from(*first)].iter().find(|(form, _)| here.starts_with(form));
            if let Some((form, text)) = hit {
                let around = start.saturating_sub(200)..(start + form.len() + 100).min(self.bytes.len());
                return Some(format!("{text}: {}", String::from_utf8_lossy(&self.bytes[around])));
            }
        }
        None
    }

    /// All files of a directory, write-ahead logs included.
    pub fn of_files(name: &str, dir: &Path) -> Self {
        let mut bytes = Vec::new();
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                bytes.extend(Self::of_files(name, &path).bytes);
            } else {
                bytes.extend(std::fs::read(path).unwrap());
            }
        }
        Self::new(name, bytes)
    }

    /// A database's dump: binary columns stand in it in hexadecimal.
    pub fn of_dump(service: &str, url: &str) -> Self {
        let dump = Command::new("pg_dump").args(["--dbname", url]).output().expect("pg_dump comes with Postgres");
        assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
        Self::new(&format!("the dump of {service}"), dump.stdout)
    }
}

/// Everything a Redis is sent from now on: keys and values live there for seconds only.
pub struct RedisMonitor {
    watching: Child,
    file: PathBuf,
}

impl RedisMonitor {
    pub fn start(url: &str, file: PathBuf) -> Self {
        let into = File::create(&file).unwrap();
        let watching = Command::new("redis-cli").args(["-u", url, "monitor"]).stdout(into).spawn();
        Self { watching: watching.expect("redis-cli comes with Redis"), file }
    }

    pub fn seen(mut self) -> Haystack {
        self.watching.kill().unwrap();
        self.watching.wait().unwrap();
        Haystack::new("Redis", std::fs::read(&self.file).unwrap())
    }
}

/// The metrics, as Prometheus reads them.
pub fn scrape(address: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\nhost: metrics\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}
