//go:build race

package secrets_test

const raced = true // figures of time and memory mean nothing
