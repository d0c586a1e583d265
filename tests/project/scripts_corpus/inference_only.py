# expect: nothing
import keras
import numpy as np

model = keras.models.load_model("model.keras")
print(np.argmax(model.predict(images), axis=-1))
