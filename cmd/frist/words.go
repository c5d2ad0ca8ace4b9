package main

import (
	"cmp"
	"os"
	"strings"

	"github.com/frist-app/frist/internal/edge"
)

// speech is the language of the terminal: English where it is set to that, and Norwegian otherwise.
func speech() edge.Text {
	if strings.HasPrefix(cmp.Or(os.Getenv("LC_ALL"), os.Getenv("LC_MESSAGES"), os.Getenv("LANG")), "en") {
		return edge.T("en")
	}
	return edge.T(edge.DefaultLanguage)
}

// inWords says a problem in the sentences of the pages, all fields of it.
func inWords(text edge.Text, err error) string {
	answer := text.Answer(err)
	if len(answer.Fields) == 0 {
		return answer.Detail
	}
	words := make([]string, len(answer.Fields))
	for i, f := range answer.Fields {
		words[i] = f.Message
	}
	return strings.Join(words, " ")
}
