# // Four numbers of a product, alpha · sum + beta · old; what is there is read where beta is not zero alone.
var result = ${alpha} * ${sum};
if (${beta} != 0.0) {
  result += ${beta} * ${old};
}
