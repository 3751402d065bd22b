//! The Python module of wengert.
