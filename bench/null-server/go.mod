module nullserver

go 1.26
