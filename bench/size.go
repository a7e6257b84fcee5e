package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// sizeWork is the work in results that has the sizes of programs. They are measured once.
const sizeWork = "size"

// programs has the folders of the programs whose size is measured.
var programs = map[string]string{"greeter": "../examples/greeter", "hello": "./hello"}

// sizes builds the programs without symbols, and measures their sizes.
func (r *runner) sizes() error {
	r.found[sizeWork] = map[string][]result{}
	if r.base != "" {
		return errors.Join(
			r.size("greeter", programs["greeter"]),
			r.size(baseName("greeter"), filepath.Join(r.base, "examples", "greeter")))
	}
	for name, folder := range programs {
		if err := r.size(name, folder); err != nil {
			return err
		}
	}
	return nil
}

// size builds the program in folder and notes its size under name.
func (r *runner) size(name, folder string) error {
	path := filepath.Join(r.dir, name)
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, ".")
	cmd.Dir = folder
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w: %s", folder, err, text)
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	r.found[sizeWork][name] = []result{{Seconds: 1, Size: float64(info.Size())}}
	return nil
}
