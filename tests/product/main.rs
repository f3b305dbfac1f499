//! Samara as its users meet it: the program that was built, on real input.

mod answers;
mod documents;
mod examples;
mod projects;
mod sharing;
mod support;
