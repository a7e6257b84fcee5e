//go:build unix && !aix && !linux

package unix_test

import "fmt"

func platformCommand(word, rest string) (string, error) {
	return "", fmt.Errorf("unknown command %s %s", word, rest)
}
