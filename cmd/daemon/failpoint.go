package main

// failpoint is called before and after each step of a change of the configuration, with its name. Tests
// replace it, to fail there, or to end the process.
var failpoint = func(string) error { return nil }
