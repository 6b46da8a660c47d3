local gopiper = require("gopiper")
local components = {
  gopiper.loadComponent("build/stdin_component.so", {}),
  gopiper.loadComponent("build/stdout_component.so", {}),
}
gopiper.createPipeline(components)
