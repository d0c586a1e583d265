# expect: KD702
import keras
from common.reproducibility import set_seed
from common.devices import check_gpu

set_seed(42)
check_gpu()
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
print(model.fit(x, y, epochs=3).history)
