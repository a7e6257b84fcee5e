//go:build unix && !aix && !linux

package unix

import "os"

const longPaths = false

func descriptorPath(*os.File) (string, bool) { return "", false }

func openSocket(path string) (*os.File, error) { return nil, tooLong(path) }
