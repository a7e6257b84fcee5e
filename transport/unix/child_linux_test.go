package unix_test

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
)

func platformCommand(word, rest string) (string, error) {
	if word == "uid" {
		return strconv.Itoa(os.Getuid()), nil
	}
	if word != "hide-proc" { // in a mount namespace of its own
		return "", fmt.Errorf("unknown command %s %s", word, rest)
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return "", err
	}
	return "ok", syscall.Mount("tmpfs", "/proc", "tmpfs", 0, "")
}
