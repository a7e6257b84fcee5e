package main

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// scripts has the completion scripts. They evaluate nothing. The scripts of cobra build a command line from the typed
// words and eval it, so a word that the shell inserted, such as a file name, is executed at the next TAB.
//
//go:embed completion
var scripts embed.FS

// completionScript prints the completion script for a shell.
func completionScript(cmd *cobra.Command, shell string) error {
	out := cmd.OutOrStdout()
	switch shell {
	case "bash", "zsh", "fish":
		text, err := scripts.ReadFile("completion/steer." + shell)
		if err != nil {
			return err
		}
		_, err = io.WriteString(out, strings.ReplaceAll(string(text), "%[1]s", cmd.Name()))
		return err
	case "powershell":
		return cmd.GenPowerShellCompletionWithDesc(out)
	}
	return fmt.Errorf("there is no completion script for %q; there are bash, zsh, fish and powershell", shell)
}

// The first line that candidatesCommand prints: the directive for the completion script.
const (
	directiveFiles   = "files"   // the shell completes file names
	directiveNoSpace = "nospace" // bash writes no space after the only candidate
	directiveWords   = "words"   // the other lines are the candidates
)

// candidatesCommand returns the hidden command that the completion scripts call:
//
//	steer __offer bash COMP_TYPE COLUMNS COMP_WORDBREAKS LINE
//	steer __offer zsh|fish WORD… LAST
//
// LINE is the command line up to the cursor, with its quotes. LAST is the word to complete, as it was typed. The shell
// has removed the quotes of the words before it. The first line of the output is a directive. Each other line is a
// candidate in the format that the script needs.
func candidatesCommand(stdout io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:                "__offer",
		Hidden:             true,
		DisableFlagParsing: true,
		Args:               cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			lines := []string{directiveFiles}
			switch shell := args[0]; {
			case shell == "bash" && len(args) == 5:
				lines = bashCandidates(cmd.Context(), args[1:])
			case shell == "zsh":
				lines = zshCandidates(cmd.Context(), args[1:])
			case shell == "fish":
				lines = fishCandidates(cmd.Context(), args[1:])
			}
			_, err := io.WriteString(stdout, strings.Join(lines, "\n")+"\n")
			return err
		},
	}
}

// A candidate is a text that can replace the word to complete.
type candidate struct{ text, description string }

// takesValue reports whether a value follows the candidate, without a space.
func (o candidate) takesValue() bool { return strings.HasSuffix(o.text, "=") }

// safeCandidate matches the characters that a candidate may have. The checks in complete are stricter, but they cover
// only the strings of the daemon. This one covers every candidate.
var safeCandidate = regexp.MustCompile(`^[A-Za-z0-9_./:@+,=-]+$`)

// findCandidates asks cobra for the words that can replace last after words. last is the text as it was typed. If last
// has quotes or expansions, there are no candidates. files reports whether the shell should complete file names.
func findCandidates(ctx context.Context, words []string, last string) (found []candidate, files bool) {
	var out bytes.Buffer
	if run(ctx, append(append([]string{cobra.ShellCompRequestCmd}, words...), last), strings.NewReader(""), &out, io.Discard) != exitOK {
		return nil, true
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	directive, err := strconv.Atoi(strings.TrimPrefix(lines[len(lines)-1], ":"))
	if err != nil {
		return nil, true
	}
	files = cobra.ShellCompDirective(directive)&cobra.ShellCompDirectiveNoFileComp == 0
	if last != "" && !safeCandidate.MatchString(last) {
		return nil, files
	}
	before := "" // cobra returns only the value of --flag=value
	if flag, _, ok := strings.Cut(last, "="); ok && strings.HasPrefix(last, "-") {
		before = flag + "="
	}
	for _, line := range lines[:len(lines)-1] {
		text, description, _ := strings.Cut(line, "\t")
		text = before + text
		if safeCandidate.MatchString(text) && strings.HasPrefix(text, last) {
			found = append(found, candidate{text, printableLine(description)})
		}
	}
	return found, files && len(found) == 0
}

// bashCandidates returns the output for bash. It adds the descriptions only where bash prints a list and inserts
// nothing.
func bashCandidates(ctx context.Context, args []string) []string {
	compType, wordBreaks, line := args[0], args[2], args[3]
	columns, _ := strconv.Atoi(args[1])
	words, last, ok := splitLine(line)
	if !ok || len(words) == 0 {
		return []string{directiveFiles}
	}
	found, files := findCandidates(ctx, words[1:], last)
	if files {
		return []string{directiveFiles}
	}
	lines := []string{directiveWords}
	if len(found) == 1 && found[0].takesValue() {
		lines[0] = directiveNoSpace
	}
	// bash replaces only the text after the last character of COMP_WORDBREAKS in the word.
	wordStart := strings.LastIndexAny(last, wordBreaks) + 1
	width := 0
	for _, o := range found {
		width = max(width, len(o.text)-wordStart)
	}
	for _, o := range found {
		text := o.text[wordStart:]
		if listing := compType == "63" || compType == "33" || compType == "64"; listing && len(found) > 1 && o.description != "" {
			text = withDescription(text, o.description, width, columns)
		}
		lines = append(lines, text)
	}
	return lines
}

// withDescription returns a line of a list for a terminal with that many columns. A candidate has at most width
// characters.
func withDescription(text, description string, width, columns int) string {
	text += strings.Repeat(" ", width-len(text))
	room := columns - width - len("  ()")
	if room < 8 {
		return text
	}
	if utf8.RuneCountInString(description) > room {
		description = string([]rune(description)[:room-1]) + "…"
	}
	return text + "  (" + description + ")"
}

// zshCandidates returns the output for zsh. Each line has '=' if a value follows, or else '-', and then the candidate
// in the format of _describe.
func zshCandidates(ctx context.Context, args []string) []string {
	return formatCandidates(ctx, args, func(o candidate) string {
		line := "-"
		if o.takesValue() {
			line = "="
		}
		line += strings.ReplaceAll(o.text, ":", `\:`)
		if o.description != "" {
			line += ":" + o.description
		}
		return line
	})
}

// fishCandidates returns the output for fish. fish itself writes no space after '='.
func fishCandidates(ctx context.Context, args []string) []string {
	return formatCandidates(ctx, args, func(o candidate) string {
		return strings.TrimSuffix(o.text+"\t"+o.description, "\t")
	})
}

// formatCandidates returns the directive, and the candidates for the last word of args after args[0], each formatted by
// format.
// formatCandidates returns the directive, and the candidates for the last word of args after args[0], each formatted by
// format.
func formatCandidates(ctx context.Context, args []string, format func(candidate) string) []string {
	words := make([]string, len(args)-1)
	for i := range words {
		words[i] = expandWord(args[i])
	}
	found, files := findCandidates(ctx, words, args[len(args)-1])
	if files {
		return []string{directiveFiles}
	}
	lines := []string{directiveWords}
	for _, o := range found {
		lines = append(lines, format(o))
	}
	return lines
}

// expandWord replaces ~/ at the start of word, and environment variables. It does no other expansion.
func expandWord(word string) string {
	if rest, ok := strings.CutPrefix(word, "~/"); ok {
		word = os.Getenv("HOME") + "/" + rest
	}
	return variablePattern.ReplaceAllStringFunc(word, func(name string) string {
		return os.Getenv(strings.Trim(name, "${}"))
	})
}

var (
	variablePattern   = regexp.MustCompile(`\$([A-Za-z_][A-Za-z0-9_]*|\{[A-Za-z_][A-Za-z0-9_]*\})`)
	variableAtStart   = regexp.MustCompile(`^` + variablePattern.String())
	assignmentPattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*\+?=`)
)
