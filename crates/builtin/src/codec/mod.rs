//! How bytes are parted into messages, and put together again.
