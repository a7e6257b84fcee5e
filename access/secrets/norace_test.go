//go:build !race

package secrets_test

const raced = false
