//! `javelin serve` as a process of its own: its end with the test, ports for it, and what its admin port says.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::Child,
};

/// Ends with the test.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Ports that were free a moment ago. Should somebody else have taken one, the program says so and the test fails.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    // All at once, or one might be given twice.
    let free = [(); N].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    free.map(|free| free.local_addr().unwrap().port())
}

/// What is answered on the admin port, headers and all.
pub(crate) fn get(admin: u16, path: &str) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, admin)).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
