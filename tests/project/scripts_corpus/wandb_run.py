# expect: KD701 KD702 KD711
import keras
import wandb

wandb.init(project="demo")
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
model.fit(x, y, epochs=5)
