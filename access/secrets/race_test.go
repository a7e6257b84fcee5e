//go:build race

package secrets_test

const raced = true // measurements of time and memory are meaningless
