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

// scripts has the completion scripts. Unlike cobra's they evaluate nothing: cobra's build a command line of
// the typed words and eval it, so that a word that a shell has inserted, such as the name of a file, runs at
// the next TAB.
//
//go:embed completion
var scripts embed.FS

// completionScript prints what a shell needs to complete steer's command lines.
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

// The first line that offerCommand prints.
const (
	offerFiles   = "files"   // the shell completes the names of files
	offerNoSpace = "nospace" // bash writes no space behind the only offer
	offerWords   = "words"
)

// offerCommand returns the hidden command that the completion scripts call:
//
//	steer __offer bash COMP_TYPE COLUMNS COMP_WORDBREAKS LINE
//	steer __offer zsh|fish WORD… LAST
//
// LINE is the command line up to the cursor, with its quotes. LAST is the word to complete, as it was typed;
// the words before it have lost their quotes. The first line of the output is one of offerFiles,
// offerNoSpace and offerWords. Each other line is an offer in the form that the script needs.
func offerCommand(stdout io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:                "__offer",
		Hidden:             true,
		DisableFlagParsing: true,
		Args:               cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			lines := []string{offerFiles}
			switch shell := args[0]; {
			case shell == "bash" && len(args) == 5:
				lines = bashOffers(cmd.Context(), args[1:])
			case shell == "zsh":
				lines = zshOffers(cmd.Context(), args[1:])
			case shell == "fish":
				lines = fishOffers(cmd.Context(), args[1:])
			}
			_, err := io.WriteString(stdout, strings.Join(lines, "\n")+"\n")
			return err
		},
	}
}

// An offer is one text that can stand in place of the word to complete.
type offer struct{ text, description string }

// open reports that a value follows, without a space.
func (o offer) open() bool { return strings.HasSuffix(o.text, "=") }

// safeOffer is what an offer may consist of. complete asks more of a daemon's strings; this also covers
// steer's own words, so that no way around complete can be added by mistake.
var safeOffer = regexp.MustCompile(`^[A-Za-z0-9_./:@+,=-]+$`)

// offers asks cobra which words can stand in place of last behind words. last is as it was typed; offers
// are made only for one without quotes and expansions. files reports that a file's name can stand there.
func offers(ctx context.Context, words []string, last string) (found []offer, files bool) {
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
	if last != "" && !safeOffer.MatchString(last) {
		return nil, files
	}
	before := "" // cobra completes the value of --flag=value alone
	if flag, _, ok := strings.Cut(last, "="); ok && strings.HasPrefix(last, "-") {
		before = flag + "="
	}
	for _, line := range lines[:len(lines)-1] {
		text, description, _ := strings.Cut(line, "\t")
		text = before + text
		if safeOffer.MatchString(text) && strings.HasPrefix(text, last) {
			found = append(found, offer{text, plainText(description)})
		}
	}
	return found, files && len(found) == 0
}

// bashOffers returns the output for bash. Only where bash prints a list, and inserts nothing of it, do the
// descriptions stand behind the offers.
func bashOffers(ctx context.Context, args []string) []string {
	compType, breaks, line := args[0], args[2], args[3]
	columns, _ := strconv.Atoi(args[1])
	words, last, ok := splitLine(line)
	if !ok || len(words) == 0 {
		return []string{offerFiles}
	}
	found, files := offers(ctx, words[1:], last)
	if files {
		return []string{offerFiles}
	}
	lines := []string{offerWords}
	if len(found) == 1 && found[0].open() {
		lines[0] = offerNoSpace
	}
	// bash replaces what follows the last character of COMP_WORDBREAKS in the word.
	broken := strings.LastIndexAny(last, breaks) + 1
	width := 0
	for _, o := range found {
		width = max(width, len(o.text)-broken)
	}
	for _, o := range found {
		text := o.text[broken:]
		if lists := compType == "63" || compType == "33" || compType == "64"; lists && len(found) > 1 && o.description != "" {
			text = withDescription(text, o.description, width, columns)
		}
		lines = append(lines, text)
	}
	return lines
}

// withDescription returns a line of a list that is columns wide. Offers have width characters at most.
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

// zshOffers returns the output for zsh: each offer behind a '=' or '-', which says whether a value follows,
// in the form of _describe.
func zshOffers(ctx context.Context, args []string) []string {
	return listOffers(ctx, args, func(o offer) string {
		line := "-"
		if o.open() {
			line = "="
		}
		line += strings.ReplaceAll(o.text, ":", `\:`)
		if o.description != "" {
			line += ":" + o.description
		}
		return line
	})
}

// fishOffers returns the output for fish, which writes no space behind a '=' by itself.
func fishOffers(ctx context.Context, args []string) []string {
	return listOffers(ctx, args, func(o offer) string {
		return strings.TrimSuffix(o.text+"\t"+o.description, "\t")
	})
}

func listOffers(ctx context.Context, args []string, write func(offer) string) []string {
	words := make([]string, len(args)-1)
	for i := range words {
		words[i] = expand(args[i])
	}
	found, files := offers(ctx, words, args[len(args)-1])
	if files {
		return []string{offerFiles}
	}
	lines := []string{offerWords}
	for _, o := range found {
		lines = append(lines, write(o))
	}
	return lines
}

// expand replaces a ~/ at the beginning and variables of the environment. It knows no other expansion.
func expand(word string) string {
	if rest, ok := strings.CutPrefix(word, "~/"); ok {
		word = os.Getenv("HOME") + "/" + rest
	}
	return variable.ReplaceAllStringFunc(word, func(name string) string {
		return os.Getenv(strings.Trim(name, "${}"))
	})
}

var (
	variable       = regexp.MustCompile(`\$([A-Za-z_][A-Za-z0-9_]*|\{[A-Za-z_][A-Za-z0-9_]*\})`)
	variableAtHead = regexp.MustCompile(`^` + variable.String())
	assignment     = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*\+?=`)
)
