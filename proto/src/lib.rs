//! Generated types of every `chunyun` package, and the descriptor set for reflection.
//!
//! The module tree mirrors the packages: `chunyun.order.v1` is [`order::v1`]. Wire types stop at a service's `grpc.rs`.

#![allow(clippy::all, missing_docs, unused_qualifications, reason = "generated code")]

/// All files as an encoded `google.protobuf.FileDescriptorSet`, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

macro_rules! package {
    ($name:ident) => {
        pub mod $name {
            pub mod v1 {
                include!(concat!(env!("OUT_DIR"), "/chunyun.", stringify!($name), ".v1.rs"));
            }
        }
    };
}

package!(common);
package!(gateway);
package!(inventory);
package!(order);
package!(payment);
package!(provider);
package!(query);
package!(waitlist);

/// The journal's own package, generated in a crate of its own.
pub mod journal {
    pub use journal_encoding::v1;
}
