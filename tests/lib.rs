//! Holds no code: this package is its tests, see README.md beside it.
