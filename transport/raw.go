package transport

import "github.com/rudderpost/rudderpost/internal/rawio"

const canRaw = rawio.Can

func readRaw(fd uintptr, p []byte) (int, error)  { return rawio.Read(fd, p) }
func writeRaw(fd uintptr, p []byte) (int, error) { return rawio.Write(fd, p) }
