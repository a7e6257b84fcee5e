package main

// transportMutants are the mutants of packages transport and internal/netfd.
var transportMutants = []mutant{}
