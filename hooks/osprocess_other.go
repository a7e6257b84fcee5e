//go:build !unix

package hooks

import "errors"

func startProcess(*Config, func(string)) (osProcess, error) {
	return nil, errors.New("hooks that are processes need a UNIX system; compile the library in")
}
