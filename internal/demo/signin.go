package demo

import (
	"fmt"
	"strconv"

	"github.com/frist-app/frist/internal/oidc/demoprovider"
)

// People are the personas as the demo's provider knows them, in their order: with made-up national identity numbers, whose
// month is 80 too high, as the tax administration's own test people have.
func People() []demoprovider.Person {
	var people []demoprovider.Person
	for i, p := range Personas() {
		people = append(people, demoprovider.Person{PID: syntheticID(i), Name: p.Name})
	}
	return people
}

// syntheticID is the i-th number with right check digits; some serial numbers have none.
func syntheticID(i int) string {
	for serial := 100; ; serial++ {
		digits := fmt.Sprintf("%02d8%d%02d%03d", 1+i%28, 1+i/28, 70, serial)
		sum := func(s string, weights ...int) int {
			n := 0
			for k, w := range weights {
				n += int(s[k]-'0') * w
			}
			return (11 - n%11) % 11
		}
		first := sum(digits, 3, 7, 6, 1, 8, 9, 4, 5, 2)
		if first == 10 {
			continue
		}
		digits += strconv.Itoa(first)
		if second := sum(digits, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2); second != 10 {
			return digits + strconv.Itoa(second)
		}
	}
}
