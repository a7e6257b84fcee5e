//go:build !linux

package transport

const shortIsAll = false
